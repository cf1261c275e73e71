"""Real gateways in front of a server, each in a process of its own on a free port of loopback.

They are nginx, HAProxy, Varnish, stunnel and Apache's httpd with its modules, as Debian packages
them, a server of Express, and the proxies squid and tinyproxy, which a client is told of. What a
test is about is a few lines of the program's own configuration; they go into one that needs no
root and writes to the test's directory only. Everything that arrives is in the gateway's log, but
for Varnish and stunnel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from ctypes.util import find_library
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias

import pytest
import trustme

from benchmarks.servers import HOST, free_port, listening
from tests.support.programs import missing, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

NGINX = """
{user}
daemon off;
pid {home}/nginx.pid;
error_log {home}/nginx.error.log;
worker_processes 1;
events {{}}
http {{
  log_format arrival '$request_method $status';
  access_log {log} arrival;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  {http}
  server {{
    listen {host}:{port}{listen};
    {server}
    location / {{
      {location}
      proxy_pass http://{host}:{upstream};
    }}
  }}
}}
"""

HAPROXY = """
defaults
  mode http
  log stdout format raw local0
  log-format "%HM %ST"
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  {defaults}
frontend gateway
  bind {host}:{port}{bind}
  {frontend}
  default_backend api
backend api
  server api {host}:{upstream} {server}
"""

HTTPD = """
ServerName {host}
ServerRoot {home}
PidFile {home}/httpd.pid
DefaultRuntimeDir {home}
Listen {host}:{port}
{modules}
{user}
# One process, so that what a module counts for itself it counts for all.
ServerLimit 1
StartServers 1
ThreadsPerChild 64
ThreadLimit 64
MaxRequestWorkers 64
KeepAlive On
MaxKeepAliveRequests 0
ErrorLog {home}/httpd.error.log
LogFormat "%m %>s" arrival
CustomLog {log} arrival
ProxyPass / http://{host}:{upstream}/
{rules}
"""

VARNISH = """
vcl 4.1;
import vsthrottle;
backend api {{ .host = "{host}"; .port = "{upstream}"; }}
sub vcl_recv {{
  {receive}
  return (pass);
}}
"""

STUNNEL = """
foreground = yes
pid =
[gateway]
accept = {host}:{port}
connect = {host}:{upstream}
cert = {certificate}
"""

EXPRESS = """
const [port, upstream, options] = process.argv.slice(1);
const http = require("node:http");
const express = require("express");
const { rateLimit } = require("express-rate-limit");
const app = express();
app.use((request, answer, next) => {
  answer.on("finish", () => console.log(`${request.method} ${answer.statusCode}`));
  next();
});
app.use(rateLimit(JSON.parse(options)));
app.use((request, answer) => {
  const { method, headers, originalUrl: path } = request;
  const passed = http.request({ host: "127.0.0.1", port: upstream, method, headers, path });
  passed.on("response", (response) => {
    answer.writeHead(response.statusCode, response.headers);
    response.pipe(answer);
  });
  request.pipe(passed);
});
app.listen(Number(port), "127.0.0.1");
"""

FROM_NPM = ("express@5.1.0", "express-rate-limit@8.2.1")
"""What a server of Express needs of npm."""

SQUID = """
http_port {host}:{port}
pid_filename none
cache_log {home}/squid.cache.log
cache_store_log none
logformat arrival %rm %>Hs
access_log stdio:{log} arrival
pinger_enable off
cache deny all
coredump_dir {home}
hosts_file {home}/hosts
shutdown_lifetime 0 seconds
connect_timeout 2 seconds
visible_hostname gateway
cache_mem 8 MB
{rules}
http_access allow all
"""

TINYPROXY = """
Port {port}
Listen {host}
Timeout 10
LogLevel Connect
MaxClients 50
{rules}
"""

MODULES = Path("/usr/lib/apache2/modules")
"""Where Debian keeps the modules of httpd, its own and those of other packages."""

_BASIC = ("mpm_worker", "authn_core", "authz_core", "unique_id", "proxy", "proxy_http")

PACKAGES = {
    "evasive20": "libapache2-mod-evasive",
    "qos": "libapache2-mod-qos",
    "security2": "libapache2-mod-security2",
}
"""Modules that come in a package of their own."""


@dataclass(frozen=True)
class Gateway:
    """A gateway that is being served.

    Attributes:
        port: TCP port on loopback.
        log: A line for each request that it has dealt with: method and status. What was no
            request, such as a connection that was closed again, is ``<BADREQ>`` or ``-`` there.
        is_tls: Whether it speaks TLS.
    """

    port: int
    log: Path
    is_tls: bool = False

    @property
    def base_url(self) -> str:
        return self.url("https" if self.is_tls else "http")

    def url(self, scheme: str) -> str:
        """The base URL with this scheme, whether it speaks that or not."""
        return f"{scheme}://{HOST}:{self.port}/v3"

    def arrivals(self) -> list[tuple[str, int]]:
        """Method and status of the requests so far, in the order in which they were dealt with."""
        lines = map(str.split, self.log.read_text(encoding="ascii", errors="replace").splitlines())
        return [(method, int(status)) for method, status in lines if method.isalpha()]


Opened: TypeAlias = "Callable[[Path, int], AbstractContextManager[Gateway]]"
"""A gateway that is served in a directory of its own, in front of a port."""


@contextmanager
def nginx(
    home: Path,
    upstream: int,
    *,
    http: str = "",
    server: str = "",
    location: str = "",
    tls: bool = False,
) -> Iterator[Gateway]:
    """Nginx in front of a port.

    Args:
        home: A directory for what it writes.
        upstream: The port that it leads to.
        http: Directives of the block ``http``; ``server`` and ``location`` are those of these.
        server: See ``http``.
        location: See ``http``.
        tls: Whether it speaks TLS: ``server`` then says with which certificate.
    """
    port, log = free_port(), home / "nginx.log"
    config = home / "nginx.conf"
    text = NGINX.format(
        # Its workers would be `nobody`, who may not enter the directory of a test.
        user="user root;" if _is_root() else "",
        home=home,
        log=log,
        host=HOST,
        port=port,
        listen=" ssl" if tls else "",
        upstream=upstream,
        http=http,
        server=server,
        location=location,
    )
    config.write_text(text, encoding="ascii")
    with listening([program("nginx"), "-c", str(config)], port):
        yield Gateway(port, log, tls)


@contextmanager
def haproxy(
    home: Path,
    upstream: int,
    *,
    defaults: str = "",
    frontend: str = "",
    server: str = "",
    tls: str = "",
) -> Iterator[Gateway]:
    """HAProxy in front of a port.

    Args:
        home: A directory for what it writes.
        upstream: The port that it leads to.
        defaults: Lines of that section; ``frontend`` are those of that one.
        frontend: See ``defaults``.
        server: Parameters of its only server.
        tls: Parameters of ``bind ssl``, where it speaks TLS.
    """
    port, log = free_port(), home / "haproxy.log"
    config = home / "haproxy.conf"
    text = HAPROXY.format(
        host=HOST,
        port=port,
        upstream=upstream,
        defaults=defaults,
        frontend=frontend,
        server=server,
        bind=f" ssl {tls}" if tls else "",
    )
    config.write_text(text, encoding="ascii")
    with listening([program("haproxy"), "-f", str(config)], port, output=log):
        yield Gateway(port, log, is_tls=bool(tls))


@contextmanager
def httpd(home: Path, upstream: int, module: str, rules: str) -> Iterator[Gateway]:
    """Apache's httpd in front of a port.

    Args:
        home: A directory for what it writes.
        upstream: The port that it leads to.
        module: The module that the test is about, without ``mod_``: one of `PACKAGES`.
        rules: Its directives.
    """
    binary, port, log = program("apache2"), free_port(), home / "httpd.log"
    if not (MODULES / f"mod_{module}.so").exists():
        missing(f"mod_{module} of Apache", PACKAGES[module])
    names = {each: f"{each}_module" for each in (*_BASIC, module)}
    lines = [f"LoadModule {name} {MODULES}/mod_{each}.so" for each, name in names.items()]
    if module == "qos" and (library := find_library("pcre")):
        # That of Debian 12 (11.63-1+b2) is not linked with the library that it calls.
        lines.insert(0, f"LoadFile {library}")
    config = home / "httpd.conf"
    text = HTTPD.format(
        home=home,
        host=HOST,
        port=port,
        upstream=upstream,
        modules="\n".join(lines),
        user="User nobody\nGroup nogroup" if _is_root() else "",  # it refuses to be root
        log=log,
        rules=rules,
    )
    config.write_text(text, encoding="ascii")
    with listening([binary, "-f", str(config), "-D", "FOREGROUND"], port):
        yield Gateway(port, log)


def _is_root() -> bool:
    return os.geteuid() == 0


@contextmanager
def varnish(home: Path, upstream: int, *, receive: str) -> Iterator[Gateway]:
    """Varnish in front of a port, which stores nothing and keeps no log.

    Args:
        home: A directory for what it writes.
        upstream: The port that it leads to.
        receive: What it does first with a request, in its own language.
    """
    binary, port, log = program("varnishd"), free_port(), home / "varnish.log"
    if not [*Path("/usr/lib").glob("*/varnish/vmods/libvmod_vsthrottle.so")]:
        missing("vmod_vsthrottle of Varnish", "varnish-modules")
    program("gcc")  # it makes a library of its configuration
    log.touch()
    config = home / "varnish.vcl"
    config.write_text(VARNISH.format(host=HOST, upstream=upstream, receive=receive))
    command = [binary, "-F", "-j", "none", "-n", str(home / "varnish"), "-f", str(config)]
    with listening([*command, "-a", f"{HOST}:{port}", "-s", "malloc,8m"], port):
        yield Gateway(port, log)


@contextmanager
def stunnel(home: Path, upstream: int) -> Iterator[Gateway]:
    """Stunnel in front of a port: it speaks TLS, sees no requests and keeps no log."""
    certified, port, log = certify(home), free_port(), home / "stunnel.log"
    log.touch()
    config = home / "stunnel.conf"
    text = STUNNEL.format(host=HOST, port=port, upstream=upstream, certificate=certified.server)
    config.write_text(text, encoding="ascii")
    with listening([program("stunnel4"), str(config)], port):
        yield Gateway(port, log, is_tls=True)


def installed_from_npm(home: Path) -> Path:
    """Have `FROM_NPM` installed into a directory; a test is skipped where that cannot be.

    Returns:
        Where they are.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node with npm is missing")
    quietly = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    command = [npm, "install", "--ignore-scripts", "--prefer-offline", *quietly, *FROM_NPM]
    (home / "package.json").write_text("{}")  # else they would go where one above has it
    try:
        subprocess.run(command, cwd=home, check=True, capture_output=True, timeout=120)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as cause:
        pytest.skip(f"npm does not install {' '.join(FROM_NPM)}: {cause}")
    return home / "node_modules"


@contextmanager
def express(home: Path, upstream: int, *, modules: Path, options: str) -> Iterator[Gateway]:
    """A server of Express with express-rate-limit in front of a port.

    Args:
        home: A directory for what it writes.
        upstream: The port that it leads to.
        modules: Where both are: see `installed_from_npm`.
        options: Those of the limiter, as JSON.
    """
    port, log = free_port(), home / "express.log"
    found = [program("env"), f"NODE_PATH={modules}", "NODE_ENV=production"]
    command = [*found, program("node"), "-e", EXPRESS, str(port), str(upstream), options]
    with listening(command, port, output=log):
        yield Gateway(port, log)


@contextmanager
def squid(_home: Path, _upstream: int, *, rules: str = "") -> Iterator[Gateway]:
    """Squid, through which a client is led to the host ``license.example``, which is loopback.

    It refuses to be root, and becomes ``proxy``, who may not enter the directory of a test: it has
    one of its own.

    Args:
        rules: Directives that come before everything is allowed.
    """
    binary, port = program("squid"), free_port()
    with TemporaryDirectory(prefix="squid-") as own:
        home = Path(own)
        home.chmod(0o777)
        config, log = home / "squid.conf", home / "squid.log"
        (home / "hosts").write_text(f"{HOST} license.example\n", encoding="ascii")
        config.write_text(SQUID.format(home=home, host=HOST, port=port, log=log, rules=rules))
        # What it shares between its processes is called after its service, on the whole machine.
        with listening([binary, "-N", "-n", f"squid{port}", "-f", str(config)], port):
            yield Gateway(port, log)


@contextmanager
def tinyproxy(home: Path, _upstream: int, *, rules: str = "") -> Iterator[Gateway]:
    """Tinyproxy, through which a client is led; it keeps no log of this kind."""
    port, log = free_port(), home / "tinyproxy.log"
    log.touch()
    config = home / "tinyproxy.conf"
    config.write_text(TINYPROXY.format(host=HOST, port=port, rules=rules), encoding="ascii")
    with listening([program("tinyproxy"), "-d", "-c", str(config)], port):
        yield Gateway(port, log)


@dataclass(frozen=True)
class Certified:
    """A certificate with its key, and the one of the authority that has signed it.

    Attributes:
        authority: A file: what a client trusts.
        server: A file: what a server shows.
    """

    authority: Path
    server: Path


def certify(home: Path, name: str = HOST, *, begins: float = -1, ends: float = 365) -> Certified:
    """Write a certificate for a server, and that of its new authority.

    Args:
        home: The directory for both.
        name: The host's name, or its address.
        begins: From when on it is valid, in days from now; ``ends`` is until when.
        ends: See ``begins``.
    """
    now, authority = datetime.now(UTC), trustme.CA()
    leaf = authority.issue_cert(
        name, not_before=now + timedelta(begins), not_after=now + timedelta(ends)
    )
    certified = Certified(home / "authority.pem", home / "server.pem")
    authority.cert_pem.write_to_path(str(certified.authority))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(certified.server))
    return certified


@contextmanager
def nginx_tls(
    home: Path,
    upstream: int,
    *,
    server: str = "",
    name: str = HOST,
    begins: float = -1,
    ends: float = 365,
) -> Iterator[Gateway]:
    """Nginx that speaks TLS: as `nginx`, with a certificate as `certify` makes it.

    In ``server`` the word ``AUTHORITY`` stands for the file of the authority.
    """
    certified = certify(home, name, begins=begins, ends=ends)
    own = f"ssl_certificate {certified.server}; ssl_certificate_key {certified.server};"
    more = server.replace("AUTHORITY", str(certified.authority))
    with nginx(home, upstream, server=f"{own} {more}", tls=True) as gateway:
        yield gateway


@contextmanager
def haproxy_asking_for_a_certificate(home: Path, upstream: int) -> Iterator[Gateway]:
    """HAProxy that ends every connection on which the client shows no certificate of its own."""
    certified = certify(home)
    asking = f"crt {certified.server} ca-file {certified.authority} verify required"
    with haproxy(home, upstream, tls=asking) as gateway:
        yield gateway
