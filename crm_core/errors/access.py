"""Errors about who may do what."""

from __future__ import annotations

from crm_core.errors.base import CrmError


class AccessError(CrmError):
    """The caller may not do this, or not now."""


class Unauthenticated(AccessError, status=401, code="unauthenticated", title="Not signed in"):
    """No credential, or none that is good here; all such look the same."""

    def __init__(self, detail: str = "", *, rejected: bool = False) -> None:
        super().__init__(detail)
        self.rejected = rejected  # a bearer token was sent, and is not valid


class CsrfFailed(AccessError, status=403, code="csrf_failed", title="Request not confirmed"):
    """A session cookie without its confirmation, or from another origin."""


class InvalidCredentials(AccessError, status=401, code="invalid_credentials", title="Email or password is wrong"):
    """One answer for a wrong password and an unknown user."""


class LoginThrottled(AccessError, status=429, code="login_throttled", title="Too many sign-in attempts"):
    """Too many failed sign-ins for this account or from this source."""


class TokenReused(AccessError, status=401, code="token_reused", title="Refresh token used twice"):
    """A refresh token came a second time: its whole family has ended."""


class InsufficientScope(AccessError, status=403, code="insufficient_scope", title="Scope missing"):
    """The token's scopes do not cover this."""


class ModuleUnavailable(AccessError, status=403, code="module_unavailable", title="Module not available"):
    """The tenant does not have the module at present."""


class FeatureUnavailable(AccessError, status=403, code="feature_unavailable", title="Feature not available"):
    """The module is there, the tenant lacks the feature key."""


class PermissionDenied(AccessError, status=403, code="permission_denied", title="Permission denied"):
    """The tenant has the feature, the user may not use it."""


class SubscriptionSuspended(AccessError, status=403, code="subscription_suspended", title="Subscription suspended"):
    """Record writes are stopped while the subscription is suspended."""


class LimitReached(AccessError, status=403, code="limit_reached", title="Limit reached"):
    """The plan's number of records of this type is used up."""
