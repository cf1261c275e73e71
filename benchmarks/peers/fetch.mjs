// Node's own fetch (undici), so many workers over one list: node fetch.mjs URL FILE WORKERS
import { readFileSync } from "node:fs";

const [url, path, workers] = process.argv.slice(2);
const ids = readFileSync(path, "ascii").trim().split("\n").slice(1);
const headers = { Authorization: "Bearer benchmark-token", "Content-Type": "application/json" };
const statuses = {};
let next = 0;

async function work() {
  while (next < ids.length) {
    const answer = await fetch(`${url}/licenses/${ids[next++]}`, {
      method: "PATCH",
      headers,
      body: '{"revoked": true}',
    });
    await answer.arrayBuffer();
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
  }
}

const started = performance.now();
await Promise.all(Array.from({ length: Number(workers) }, work));
console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, statuses }));
