# SPDX-License-Identifier: Apache-2.0
"""The errors of this package, as one tree.

    DliError
    ├── InputError                  a wrong value, refused before any request (also a ValueError)
    ├── WireError                   a part of an answer is not what the API documents
    │   └── RefusedInBodyError
    ├── TransportError              no complete answer was received
    │   ├── NotSentError              could not connect: the service never saw the request
    │   ├── ConnectionSetupError      cannot connect: untrusted certificate, unusable proxy or CA
    │   ├── AnswerLostError           sent, but the answer was lost: it may have been carried out
    │   └── AnswerTooLargeError       sent, but the answer has more bytes than allowed
    ├── AnswerError                 an answer that is not a success
    │   ├── UnusableAnswerError       a success by its status, but not an answer of DLI
    │   ├── EndpointError             something else than DLI: redirect, unknown API, proxy page
    │   ├── AuthenticationError       the credential was refused
    │   ├── PermissionDeniedError     the credential is valid, but a permission is missing
    │   ├── NotFoundError             package, group, OBS object or user does not exist
    │   ├── AlreadyExistsError
    │   ├── QuotaError
    │   ├── ThrottledError            too many requests
    │   ├── BadRequestError           any other refusal
    │   ├── ObjectChangedError        an OBS object was overwritten while it was read
    │   └── ServiceError              the service failed
    ├── PackageGroupError           the service works, but the group is not in the wanted state
    │   ├── PackageGroupFailedError   a package is FAILED, missing or gone
    │   │   └── PackageGroupLostError     a package is gone, or its state stays unknown
    │   ├── PackageGroupExistsError   the group exists, and `if_exists` is `fail`
    │   └── PackageGroupTimeoutError  not READY in time (also a TimeoutError)
    └── SparkBatchError             the service works, but the job is not in the wanted state
        ├── SparkBatchFailedError     it ended without success
        ├── SparkBatchLostError       whether it runs, or how it ended, is unknown
        ├── SparkBatchAmbiguousError  several jobs have its name
        └── SparkBatchTimeoutError    not ended in time (also a TimeoutError)

Every error carries what a handler decides by, so that nobody has to list classes:

    is_transient   whether the same call may succeed later although nobody changed anything
    may_be_done    whether the service may have carried out the request
    is_retry_safe  whether any call may be sent again, also one that must not be carried out twice
    is_throttling  whether the service asks for fewer requests
    retry_after    the seconds that the service asks to wait, or `None`
    fault          on whose side the cause is: `caller` (input, credential, permission, quota),
                   `service`, or `network`, which is everything in between; `None` for the state
                   of a group or a job

The service's code decides before the HTTP status does: an internal error (DLI.0999) and most of
"not found" come as 400. Words in a message decide nothing.
Codes: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar, Literal, TypeAlias

Fault: TypeAlias = Literal["caller", "service", "network"]

_LONGEST_VALUE = 300


class DliError(Exception):
    """The base of every error that this package raises itself.

    The module's docstring explains the attributes that a handler decides by.
    """

    is_transient: bool = False
    may_be_done: bool = False
    is_throttling: bool = False
    retry_after: float | None = None
    fault: Fault | None = None

    @property
    def is_retry_safe(self) -> bool:
        """Whether any call may be repeated: it may succeed, and was not carried out before."""
        return self.is_transient and not self.may_be_done

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors compose the text, so pickle must not call them with it.
        return _rebuilt, (type(self), self.args, self.__dict__)

    def used_by(self, caller: str) -> DliError:
        """Returns the error as another caller of the same account would have received it."""
        return self

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON, from which `restored` rebuilds the error in another process."""
        plain = {name: value for name, value in vars(self).items() if name != "__notes__"}
        notes = list(getattr(self, "__notes__", ()))
        return {
            "error": type(self).__name__,
            "message": str(self),
            "fields": plain,
            "notes": notes,
        }


def restored(plain: Mapping[str, Any]) -> DliError:
    """Returns the error that `as_dict` described; a `DliError` for a class unknown here."""
    kind = _classes(DliError).get(str(plain.get("error")), DliError)
    error = _rebuilt(kind, (str(plain.get("message")),), dict(plain.get("fields") or {}))
    for note in plain.get("notes") or ():
        error.add_note(str(note))
    return error


def _rebuilt(kind: type[DliError], args: tuple[object, ...], fields: dict[str, object]) -> DliError:
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

    fault = "caller"

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} is {_quoted(value)}: {rule}")
        self.field = field

    def about(self, field: str) -> InputError:
        """Returns the error under the name by which the caller knows the field."""
        other = copy(self)
        other.args = (field + str(self).removeprefix(self.field),)
        other.field = field
        return other


class WireError(DliError, ValueError):
    """A body, or a part of it, is not what the endpoint answers; says what it is instead.

    Where an answer is read, it becomes an `UnusableAnswerError`. It is raised itself only where a
    part of a listing is read long after the answer was received.
    """

    fault = "service"


class RefusedInBodyError(WireError):
    """A success by its status whose body is a refusal: an error code, or `is_success` false."""


class TransportError(DliError):
    """No complete answer was received."""

    fault = "network"


class NotSentError(TransportError):
    """The service never saw the request: DNS, the connection or TLS failed."""

    is_transient = True


class ConnectionSetupError(TransportError):
    """This machine cannot connect as it is set up: certificate, CA bundle or proxy variables."""


class AnswerLostError(TransportError):
    """The request was sent, its answer was lost: the service may have carried it out."""

    is_transient = True
    may_be_done = True


class AnswerTooLargeError(TransportError):
    """The answer was not read to its end: it has more bytes than `max_answer_size` allows."""

    may_be_done = True


class AnswerError(DliError):
    """The service, the gateway or something before it answered, but not with a success.

    `status` is the HTTP status; `code` and `message` are the service's own, `request_id` is what
    support asks for, and each may be empty. `remedy` replaces the class's own, which is about DLI.
    """

    fault: Fault | None = "caller"
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
        """Returns the error as another caller of the same account would have received it."""
        if not self.names_caller or not self.caller or caller == self.caller:
            return self
        other = copy(self)
        other.args = (str(self).replace(self.caller, caller),)
        other.caller = caller
        return other


class UnusableAnswerError(AnswerError):
    """A success by its status whose body is not what DLI answers: HTML, a list, cut off, empty."""

    remedy = "Check that the endpoint is DLI's and that no proxy answers in its place."
    is_transient = True
    may_be_done = True
    fault = "service"


class EndpointError(AnswerError):
    """Something else than DLI answered: a redirect, an unknown API, the page of a proxy."""

    remedy = "Check cloud, region and endpoint of the connection; redirects are never followed."
    names_caller = True
    fault = "network"


class AuthenticationError(AnswerError):
    """The credential was refused."""

    remedy = (
        "Check access key and secret key (or the token; or user, password and account), the "
        "security token of temporary keys, and this machine's clock (at most 15 minutes off)."
    )
    names_caller = True


class PermissionDeniedError(AnswerError):
    """The credential is valid, but lacks a permission."""

    remedy = "Check project and region, and ask the owner of the group or package for the right."
    names_caller = True


class NotFoundError(AnswerError):
    """The named resource does not exist, or this user may not see it."""

    remedy = "Check the name, and that region and project are those where it was created."
    names_caller = True


class AlreadyExistsError(AnswerError):
    """A resource of this name exists already."""


class QuotaError(AnswerError):
    """A quota or limit of the account is used up."""

    remedy = "Delete what is no longer needed, or request a higher quota."


class ThrottledError(AnswerError):
    """Too many requests."""

    remedy = "Send fewer requests: raise poll_interval, or run fewer tasks at once."
    is_transient = True
    is_throttling = True


class BadRequestError(AnswerError):
    """The service refused the request."""


class ObjectChangedError(AnswerError):
    """An OBS object was overwritten while it was read."""

    remedy = "The object changed while it was read: read it again from its beginning."


class ServiceError(AnswerError):
    """The service failed."""

    remedy = "Try again later."
    is_transient = True
    may_be_done = True
    fault = "service"


class PackageGroupError(DliError):
    """The service works, but the package group is not in the wanted state."""


class PackageGroupFailedError(PackageGroupError):
    """A package that was asked for is FAILED, missing or gone."""


class PackageGroupLostError(PackageGroupFailedError):
    """A package is gone after it was seen, or its state was unknown for too long."""


class PackageGroupExistsError(PackageGroupError):
    """The group exists already, and `if_exists` is `fail`."""


class PackageGroupTimeoutError(PackageGroupError, TimeoutError):
    """Not every package became READY in time."""


class SparkBatchError(DliError):
    """The service works, but the Spark job is not in the wanted state.

    `batch_id` is the id of the job, empty where it is not known.
    """

    def __init__(self, message: str, batch_id: str = "") -> None:
        super().__init__(message)
        self.batch_id = batch_id


class SparkBatchFailedError(SparkBatchError):
    """The job ended without success: it failed, was cancelled, or never got resources.

    `cause` is the key of the cause found in its log, such as `missing-class`, or empty;
    `is_permanent` means that the same job would fail in the same way again.
    """

    def __init__(
        self, message: str, batch_id: str = "", *, cause: str = "", is_permanent: bool = False
    ) -> None:
        super().__init__(message, batch_id)
        self.cause = cause
        self.is_permanent = is_permanent


class SparkBatchLostError(SparkBatchError):
    """Whether the job runs, or how it ended, is unknown."""

    may_be_done = True


class SparkBatchAmbiguousError(SparkBatchError):
    """Several jobs have the name of this one, and choosing one of them would be a guess."""

    may_be_done = True


class SparkBatchTimeoutError(SparkBatchError, TimeoutError):
    """The job did not end in time."""


def _quoted(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
