"""A login by OpenID Connect, with a small provider of our own: a run then belongs to who is logged in, in any browser."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from browsing import Server, idle, new_context, visit
from conftest import wait_for
from joserfc import jwt
from joserfc.jwk import RSAKey

from imgrec.runs import list_runs

pytestmark = pytest.mark.browser


class Provider(ThreadingHTTPServer):
    """Knows one person, and lets in whoever comes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.key = RSAKey.generate_key(2048, {"kid": "test", "use": "sig", "alg": "RS256"})
        self.nonces: dict[str, str] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass

    def tell(self, content) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        own, asked = self.server.address, parse_qs(urlsplit(self.path).query)
        match urlsplit(self.path).path:
            case "/.well-known/openid-configuration":
                self.tell({"issuer": own, "authorization_endpoint": f"{own}/authorize", "token_endpoint": f"{own}/token",
                           "jwks_uri": f"{own}/keys", "id_token_signing_alg_values_supported": ["RS256"]})  # fmt: skip
            case "/keys":
                self.tell({"keys": [self.server.key.as_dict(private=False)]})
            case "/authorize":
                self.server.nonces["code"] = asked["nonce"][0]
                back = urlencode({"code": "code", "state": asked["state"][0]})
                self.send_response(302)
                self.send_header("Location", f"{asked['redirect_uri'][0]}?{back}")
                self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        claims = {"iss": self.server.address, "sub": "4711", "aud": "imgrec", "nonce": self.server.nonces["code"],
                  "iat": int(time.time()), "exp": int(time.time()) + 600, "name": "Ada L. *bold*", "email": "ada@example.org"}  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "test"}, claims, self.server.key)
        self.tell({"access_token": "a", "token_type": "Bearer", "id_token": token})


def test_who_logs_in_owns_the_run_in_every_browser_and_others_do_not(browser, workspace, tmp_path, monkeypatch):
    """Row 12 of the goals, with a login."""
    monkeypatch.setenv("IMGREC_OPERATOR", "s3cret")  # or whoever sits at the machine may change all
    provider, server = Provider(), Server(workspace, start=False)
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f"""[auth]
redirect_uri = "{server.address}/oauth2callback"
cookie_secret = "of these tests"
client_id = "imgrec"
client_secret = "hush"
server_metadata_url = "{provider.address}/.well-known/openid-configuration"
""")
    server.start("--secrets.files", str(secrets))
    first, second, stranger = (new_context(browser).new_page() for _ in range(3))
    try:
        for page in (first, second):
            visit(page, server)
            page.get_by_role("button", name="Log in").click()
            page.get_by_text("Ada L. *bold*", exact=True).wait_for()  # a name is shown as it is
        visit(first, server, "train?dataset=shapes")
        first.get_by_label("Epochs", exact=True).fill("300")
        first.get_by_label("Epochs", exact=True).press("Enter")
        idle(first)
        first.get_by_role("button", name="Start training").click()
        run = wait_for(lambda: next(iter(list_runs()), None))
        wait_for(lambda: run.owner)
        assert run.owner.name == "Ada L. *bold*"
        assert "4711" not in run.file("owner.json").read_text("utf-8")
        visit(stranger, server, f"train?run={run.name}")
        stranger.get_by_text("Started by Ada L").wait_for()
        assert stranger.get_by_role("button", name="Stop", exact=True).count() == 0
        visit(second, server, f"train?run={run.name}")
        second.get_by_role("button", name="Stop", exact=True).click()
        wait_for(lambda: run.status == "stopped")
        second.get_by_role("button", name="Log out").click()
        second.get_by_role("button", name="Log in").wait_for()
    finally:
        for page in (first, second, stranger):
            page.context.close()
        server.kill()
        provider.shutdown()
