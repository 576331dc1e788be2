"""A small OpenID provider on loopback: discovery, an authorization endpoint that signs somebody in at once, a token endpoint that checks the code and its PKCE, and keys.

It is a real one to its clients: HTTP, codes that are used once, RS256 tokens. `spoil` changes what it says, for the tests of what must not be taken.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from proxy.cli.demo.loopback import Loopback

CLIENT, SECRET = "checkrein", "s3cret"

type Spoil = Callable[[dict[str, Any]], None]


class OidcProvider(Loopback):
    """One provider; `who` are the claims of whoever signs in."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.other_key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})
        self.who: dict[str, Any] = {"sub": "1", "email": "ada@x.example", "groups": ["idp-leads"]}
        self.spoil: Spoil = lambda _claims: None
        self.signs_with = self.key
        self.alg = "RS256"
        self.names_issuer: str | None = None
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        super().__init__(
            Starlette(
                routes=[
                    Route("/.well-known/openid-configuration", self._discovery),
                    Route("/authorize", self._authorize),
                    Route("/token", self._token, methods=["POST"]),
                    Route("/keys", self._keys),
                ]
            )
        )

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.names_issuer or self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
        )

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = urlencode({"code": code, "state": asked["state"]})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 302)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        asked = self._codes.pop(str(form.get("code")), None)
        if asked is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        verifier = str(form.get("code_verifier", ""))
        if create_s256_code_challenge(verifier) != asked["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **self.who,
        }
        self.spoil(claims)
        if self.alg == "none":
            token = _unsigned(claims)
        else:
            token = jwt.encode({"alg": self.alg, "kid": "k1"}, claims, self.signs_with)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": token})

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse({"keys": [self.key.as_dict(private=False)]})


def _unsigned(claims: dict[str, Any]) -> str:
    import base64
    import json

    parts = ({"alg": "none", "kid": "k1"}, claims)
    encoded = (
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    )
    return ".".join(encoded) + "."
