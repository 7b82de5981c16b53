# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, as one tree.

    DliError
    ├── InputError                  refused here, before any request (also a ValueError)
    ├── WireError                   a part of an answer is not what the API documents
    │   └── RefusedInBodyError
    ├── TransportError              nothing came back
    │   ├── NotSentError              no connection: the service never saw the request
    │   ├── ConnectionSetupError      nor will it: untrusted certificate, unusable proxy or CA
    │   ├── AnswerLostError           sent, but no whole answer: it may have been carried out
    │   └── AnswerTooLargeError       sent, and the answer has more bytes than allowed
    ├── AnswerError                 an answer that is no success
    │   ├── UnusableAnswerError       success by its status, but not an answer of DLI
    │   ├── EndpointError             what answered is not DLI: redirect, unknown API, proxy page
    │   ├── AuthenticationError       the credential was refused
    │   ├── PermissionDeniedError     the credential is good, the right is missing
    │   ├── NotFoundError             package, group, OBS object or user does not exist
    │   ├── AlreadyExistsError
    │   ├── QuotaError
    │   ├── ThrottledError            too many requests; `retry_after` says when again
    │   ├── BadRequestError           any other refusal
    │   ├── ObjectChangedError        an object of OBS was written anew while it was read
    │   └── ServiceError              a fault of the service; later it may work
    ├── PackageGroupError           the service works, but the group is not what was asked for
    │   ├── PackageGroupFailedError   a package is FAILED, missing or gone
    │   │   └── PackageGroupLostError     a package is gone, or nobody can tell how it is
    │   ├── PackageGroupExistsError   it is there already and was not to be
    │   └── PackageGroupTimeoutError  not READY in time (also a TimeoutError)
    └── SparkBatchError             the service works, but the job is not what was asked for
        ├── SparkBatchFailedError     it ended without success
        ├── SparkBatchLostError       whether it runs, or how it ended, nobody can tell
        ├── SparkBatchAmbiguousError  several jobs bear its name, and none can be chosen
        └── SparkBatchTimeoutError    not ended in time (also a TimeoutError)

The service's code decides before the HTTP status does: an internal error (DLI.0999) and most of
"not found" come as 400. Words in a message decide nothing.
Codes: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

_SHOWN = 300


class DliError(Exception):
    """Everything that this package raises on its own account.

    `may_be_done` says that the service may have carried out what it was asked.
    """

    may_be_done: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors compose the text, so the usual way, calling them with it, would not do.
        return _made, (type(self), self.args, self.__dict__)

    def used_by(self, caller: str) -> DliError:
        """Give the error as it would have been for another caller of the same account."""
        return self

    def as_dict(self) -> dict[str, Any]:
        """Give plain JSON from which `restored` makes the error again, in another process."""
        plain = {name: value for name, value in vars(self).items() if name != "__notes__"}
        notes = list(getattr(self, "__notes__", ()))
        return {
            "error": type(self).__name__,
            "message": str(self),
            "fields": plain,
            "notes": notes,
        }


def restored(plain: Mapping[str, Any]) -> DliError:
    """Make an error of what `as_dict` gave, also of a class that this version does not have."""
    kind = _classes(DliError).get(str(plain.get("error")), DliError)
    error = _made(kind, (str(plain.get("message")),), dict(plain.get("fields") or {}))
    for note in plain.get("notes") or ():
        error.add_note(str(note))
    return error


def _made(kind: type[DliError], args: tuple[object, ...], fields: dict[str, object]) -> DliError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


def _classes(root: type[DliError]) -> dict[str, type[DliError]]:
    found = {root.__name__: root}
    for kind in root.__subclasses__():
        found |= _classes(kind)
    return found


class InputError(DliError, ValueError):
    """A wrong value, refused before any request; names the field, the value and the rule."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} is {_shown(value)}: {rule}")
        self.field = field

    def about(self, field: str) -> InputError:
        """Give the error with the name under which the caller knows the field."""
        other = copy(self)
        other.args = (field + str(self).removeprefix(self.field),)
        other.field = field
        return other


class WireError(DliError, ValueError):
    """A body, or a part of it, is not what the endpoint answers; says what it is instead.

    Reading an answer turns it into an `UnusableAnswerError`. It stands alone only where a part of
    a listing is read long after the answer came.
    """


class RefusedInBodyError(WireError):
    """A success by its status whose body is a refusal: an error code, or `is_success` false."""


class TransportError(DliError):
    """No whole answer came back."""


class NotSentError(TransportError):
    """The service never saw the request: no name, no connection, no TLS."""


class ConnectionSetupError(TransportError):
    """This machine's setup forbids the connection: certificate, CA bundle or proxy variables."""


class AnswerLostError(TransportError):
    """The request went out, its answer was lost: the service may have carried it out."""

    may_be_done = True


class AnswerTooLargeError(TransportError):
    """The answer was broken off, since it has more bytes than `max_answer_size` allows."""

    may_be_done = True


class AnswerError(DliError):
    """The service, the gateway or something before it answered, but not with a success.

    `status` is the HTTP status; `code` and `message` are the service's own, `request_id` is what
    support asks for, and each may be empty; `retry_after` is seconds or `None`. `remedy` takes the
    place of the class's own, which is meant for DLI.
    """

    remedy: ClassVar[str] = ""
    names_caller: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        *,
        status: int,
        code: str = "",
        message: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        caller: str = "",
        remedy: str | None = None,
    ) -> None:
        text = f"{what} (request id {request_id})" if request_id else what
        hints = [f"Used: {caller}." if caller and self.names_caller else ""]
        hints.append(self.remedy if remedy is None else remedy)
        super().__init__(" ".join([f"{text}.", *filter(None, hints)]))
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after = retry_after
        self.caller = caller

    def used_by(self, caller: str) -> AnswerError:
        """Give the error as it would have been for another caller of the same account."""
        if not self.names_caller or not self.caller or caller == self.caller:
            return self
        other = copy(self)
        other.args = (str(self).replace(self.caller, caller),)
        other.caller = caller
        return other


class UnusableAnswerError(AnswerError):
    """A success by its status whose body is not what DLI answers: HTML, a list, cut off, empty."""

    remedy = "Check that the endpoint is DLI's and that no proxy answers in its place."
    may_be_done = True


class EndpointError(AnswerError):
    """What answered is not DLI: a redirect, an API that is unknown there, a page of a proxy."""

    remedy = "Check cloud, region and endpoint of the connection; redirects are never followed."
    names_caller = True


class AuthenticationError(AnswerError):
    """The credential was refused."""

    remedy = (
        "Check access key and secret key (or the token; or user, password and account), the "
        "security token of temporary keys, "
        "and this machine's clock (at most 15 minutes off)."
    )
    names_caller = True


class PermissionDeniedError(AnswerError):
    """The credential is known but may not do this."""

    remedy = "Check project and region, and ask the owner of the group or package for the right."
    names_caller = True


class NotFoundError(AnswerError):
    """What was named does not exist, or this user may not see it."""

    remedy = "Check the name, and that region and project are those where it was made."
    names_caller = True


class AlreadyExistsError(AnswerError):
    """What was to be made is there already."""


class QuotaError(AnswerError):
    """A quota or limit of the account is used up."""

    remedy = "Delete what is not needed any more, or ask for a higher quota."


class ThrottledError(AnswerError):
    """Too many requests."""

    remedy = "Ask less often, or from fewer tasks at once."


class BadRequestError(AnswerError):
    """The service refused the request."""


class ObjectChangedError(AnswerError):
    """An object of OBS was written anew while it was read: what was read of it does not go on."""

    remedy = "The object changed while it was read: read it again from its beginning."


class ServiceError(AnswerError):
    """A fault on the service's side."""

    remedy = "Try again later."
    may_be_done = True


class PackageGroupError(DliError):
    """The service answered well, but the package group is not what was asked for."""


class PackageGroupFailedError(PackageGroupError):
    """A package that was asked for is FAILED, missing or gone."""


class PackageGroupLostError(PackageGroupFailedError):
    """A package is gone after it was seen, or for too long nobody can tell how it is."""


class PackageGroupExistsError(PackageGroupError):
    """The group exists already and the task asked that it should not."""


class PackageGroupTimeoutError(PackageGroupError, TimeoutError):
    """Not every package became READY in time."""


class SparkBatchError(DliError):
    """The service answered well, but the Spark job is not what was asked for.

    `batch_id` is the id of the job, empty where it is not known.
    """

    def __init__(self, message: str, batch_id: str = "") -> None:
        super().__init__(message)
        self.batch_id = batch_id


class SparkBatchFailedError(SparkBatchError):
    """The job ended without success: it failed, was cancelled, or never got resources.

    `cause` is the key of what its log tells of that, and empty where it tells nothing;
    `is_permanent` says that the same job would fail in the same way again.
    """

    def __init__(
        self, message: str, batch_id: str = "", *, cause: str = "", is_permanent: bool = False
    ) -> None:
        super().__init__(message, batch_id)
        self.cause = cause
        self.is_permanent = is_permanent


class SparkBatchLostError(SparkBatchError):
    """Nobody can tell whether the job runs, or how it ended."""

    may_be_done = True


class SparkBatchAmbiguousError(SparkBatchError):
    """Several jobs bear the name of this one, and to choose one of them would be a guess."""

    may_be_done = True


class SparkBatchTimeoutError(SparkBatchError, TimeoutError):
    """The job did not end in time."""


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
