"""OpenID Connect: the code flow with PKCE, and an id token that is what it says.

How it works. Discovery says where the provider's endpoints are and must name the issuer that was asked for. `begin` makes state, nonce and verifier,
which travel in a signed cookie of the browser that began; `finish` takes the code, once, and checks the id token's signature by the provider's
keys, and issuer, audience, nonce and times by OpenID Connect Core 1.0, section 3.1.3.7 (read 2026-11).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from proxy.errors import CheckreinError
from proxy.model import Json
from proxy.people.schema import OidcPart

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
_TIMEOUT_S = 10.0
_LEEWAY_S = 60


class OidcError(CheckreinError):
    """The provider does not answer, or says what cannot be taken."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what must come back with it."""

    url: str
    kept: dict[str, str]


class Provider:
    """Asks identity providers; `verify` names a CA of their own."""

    def __init__(self, *, verify: bool | str = True) -> None:
        self._verify = verify
        self._used: dict[str, None] = {}

    async def begin(self, oidc: OidcPart, callback: str) -> Begun:
        """Returns where to send the browser.

        Raises:
            OidcError: the provider's discovery document cannot be had.
        """
        found = await self._discovery(oidc)
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        async with self._client(oidc, callback) as client:
            url, state = client.create_authorization_url(
                _text(found, "authorization_endpoint"),
                nonce=nonce,
                code_challenge=create_s256_code_challenge(verifier),
                code_challenge_method="S256",
            )
        return Begun(url, {"state": state, "nonce": nonce, "verifier": verifier})

    async def finish(
        self, oidc: OidcPart, callback: str, kept: Mapping[str, str], answer: Mapping[str, str]
    ) -> dict[str, Json]:
        """Returns the id token's claims.

        Raises:
            OidcError: the answer is not to what was begun, or its token does not hold.
        """
        state = kept.get("state", "")
        if not state or not secrets.compare_digest(
            state.encode(), answer.get("state", "").encode()
        ):
            raise OidcError("state: the answer belongs to another sign-in")
        if state in self._used:
            raise OidcError("state: this answer was taken already")
        self._used[state] = None
        if len(self._used) > 10_000:
            del self._used[next(iter(self._used))]
        if "code" not in answer:
            raise OidcError(f"no code: {answer.get('error', 'no reason given')[:100]}")
        found = await self._discovery(oidc)
        async with self._client(oidc, callback) as client:
            try:
                token = await client.fetch_token(
                    _text(found, "token_endpoint"),
                    code=answer["code"],
                    code_verifier=kept.get("verifier", ""),
                )
            except (httpx.HTTPError, OAuthError, ValueError) as error:
                raise OidcError(f"token: {type(error).__name__}") from error
        keys = await self._fetched(_text(found, "jwks_uri"), "keys")
        return _claims(oidc, token.get("id_token"), keys, kept.get("nonce", ""))

    def _client(self, oidc: OidcPart, callback: str) -> AsyncOAuth2Client:
        secret = oidc.client_secret
        if secret is not None and secret.startswith("env:"):
            secret = os.environ.get(secret.removeprefix("env:"))
            if not secret:
                raise OidcError(f"client_secret: {oidc.client_secret} is not set")
        return AsyncOAuth2Client(
            oidc.client_id,
            secret,
            scope="openid email profile",
            redirect_uri=callback,
            timeout=_TIMEOUT_S,
            verify=self._verify,
            trust_env=False,
        )

    async def _discovery(self, oidc: OidcPart) -> dict[str, Json]:
        url = oidc.issuer.rstrip("/") + "/.well-known/openid-configuration"
        found = await self._fetched(url, "discovery")
        if not isinstance(found, dict) or found.get("issuer") != oidc.issuer:
            raise OidcError("discovery: it names another issuer")
        return found

    async def _fetched(self, url: str, what: str) -> Json:
        try:
            async with httpx.AsyncClient(
                timeout=_TIMEOUT_S, verify=self._verify, trust_env=False
            ) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise OidcError(f"{what}: {type(error).__name__}") from error


def _claims(oidc: OidcPart, token: Json, keys: Json, nonce: str) -> dict[str, Json]:
    if not isinstance(token, str):
        raise OidcError("token: there is no id_token")
    try:
        decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": oidc.issuer},
            aud={"essential": True, "value": oidc.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        ).validate(decoded.claims)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise OidcError(f"id_token: {type(error).__name__}") from error
    claims = dict(decoded.claims)
    audience = claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != oidc.client_id:
        raise OidcError("id_token: it is for several, and not made for this one")
    if not nonce or not secrets.compare_digest(
        str(claims.get("nonce", "")).encode(), nonce.encode()
    ):
        raise OidcError("id_token: its nonce is another sign-in's")
    return claims


def _text(found: Mapping[str, Json], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise OidcError(f"discovery: no {name}")
    return value
