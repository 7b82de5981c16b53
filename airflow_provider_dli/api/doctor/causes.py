# SPDX-License-Identifier: Apache-2.0
"""The causes of problems with a connection: the check that fails, a message, and a remedy.

`docs/connection.md` has the same table.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Check(StrEnum):
    """The checks of the doctor, in their order."""

    CONNECTION = "connection"
    ADDRESS = "address"
    TLS = "TLS"
    CLOCK = "clock"
    CREDENTIAL = "credential"
    PROJECT = "project"
    PERMISSION = "permission"


class Cause(Enum):
    """A reason why a check fails: the check, a message, and a remedy.

    A cause without a check fails the first check that has no result yet.
    """

    def __init__(self, check: Check | None, message: str, remedy: str) -> None:
        self.check = check
        self.message = message
        self.remedy = remedy

    @property
    def key(self) -> str:
        """The identifier for programs, such as `wrong-secret`."""
        return self.name.lower().replace("_", "-")

    CONNECTION_MISSING = (
        Check.CONNECTION,
        "Airflow has no connection with this name.",
        "Create it with the type dli, or use the name of an existing connection.",
    )
    CONNECTION_WRONG = (
        Check.CONNECTION,
        "A field of the connection is missing or wrong.",
        "Correct the field named in the message.",
    )
    CONNECTION_UNREADABLE = (
        Check.CONNECTION,
        "Airflow cannot read the connection.",
        "Check Airflow's secrets backend, database and Fernet key. A connection in "
        "AIRFLOW_CONN_… is a URI or a JSON object.",
    )
    UNKNOWN_HOST = (
        Check.ADDRESS,
        "There is no host with this name.",
        "Check cloud and region, or the endpoint. DLI is not available in every region. In a "
        "closed network only the proxy may be able to resolve the name.",
    )
    NO_NAME_SERVER = (
        Check.ADDRESS,
        "The host name could not be resolved.",
        "Check the name servers (DNS) of the machine or container, or set the proxy it needs.",
    )
    NO_CONNECTION = (
        Check.ADDRESS,
        "Could not connect to the address.",
        "Check the endpoint and its port, the firewall and the routes, and whether a proxy is "
        "needed: HTTPS_PROXY, or proxy in the connection.",
    )
    NO_ANSWER = (
        Check.ADDRESS,
        "The connection was established, but no complete answer came back.",
        "Check what is in between, such as a proxy or a firewall, and read_timeout of the "
        "connection.",
    )
    PROXY_UNREACHABLE = (
        Check.ADDRESS,
        "Could not connect to the proxy.",
        "Check proxy of the connection or HTTPS_PROXY. If the host needs no proxy, add it to "
        "NO_PROXY.",
    )
    PROXY_LOGIN = (
        Check.ADDRESS,
        "The proxy requires a login, or rejects the one it was given (407).",
        "Put it into the address of the proxy: http://user:password@host:port, with special "
        "characters percent-encoded.",
    )
    PROXY_REFUSES = (
        Check.ADDRESS,
        "The proxy refuses to connect to the address.",
        "Check cloud, region and endpoint. If they are right, ask the operator of the proxy to"
        " allow the address.",
    )
    UNUSABLE_SETUP = (
        Check.ADDRESS,
        "The proxy or the CA bundle configured on this machine cannot be used.",
        "Check HTTPS_PROXY, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, and proxy and ca_bundle of "
        "the connection.",
    )
    REDIRECT = (
        Check.ADDRESS,
        "The address is not that of DLI: it redirects to another one.",
        "Set cloud and region, or the endpoint, to DLI's own address. The login page of a "
        "network or a proxy also redirects.",
    )
    WEB_PAGE = (
        Check.ADDRESS,
        "The answer is a web page, not one of DLI's.",
        "Check the endpoint, and whether a proxy or the login page of a network answers "
        "instead of DLI.",
    )
    UNKNOWN_API = (
        Check.ADDRESS,
        "The service at the address does not have DLI's API.",
        "Check cloud and region, or the endpoint: it must be that of DLI, not of IAM or "
        "another service.",
    )
    NOT_DLI = (
        Check.ADDRESS,
        "The service that answers is not DLI.",
        "Check the endpoint, and whether a proxy answers instead of DLI.",
    )
    UNTRUSTED_CA = (
        Check.TLS,
        "The server's certificate is signed by a CA that is not trusted.",
        "Set ca_bundle of the connection, or REQUESTS_CA_BUNDLE, to the CA that signed it. If "
        "a proxy inspects TLS, that is the CA of the proxy.",
    )
    OTHER_CERTIFICATE = (
        Check.TLS,
        "The server's certificate is for another host.",
        "Check the endpoint: use the host name that the certificate is for.",
    )
    CERTIFICATE_OUTDATED = (
        Check.TLS,
        "The server's certificate has expired or is not valid yet.",
        "Check the clock of this machine. If it is right, the operator of the server must "
        "renew the certificate.",
    )
    NO_TLS = (
        Check.TLS,
        "The server does not speak TLS, or no version that this machine supports.",
        "Check scheme and port of the endpoint, and whether a proxy in between breaks TLS.",
    )
    CLOCK_WRONG = (
        Check.CLOCK,
        "The clock of this machine differs from the service's by several minutes.",
        "Set the clock (NTP). Signatures are refused if it is off by 15 minutes; the client "
        "then signs with the service's time and logs a warning.",
    )
    UNKNOWN_KEY = (
        Check.CREDENTIAL,
        "The access key does not exist.",
        "Check the access key, whether it was deleted or disabled, and the cloud. A temporary "
        "key is unknown without its security_token.",
    )
    SECURITY_TOKEN_MISSING = (
        Check.CREDENTIAL,
        "The access key is temporary, and its security token is missing.",
        "Set security_token to the token that was issued together with the key.",
    )
    KEY_EXPIRED = (
        Check.CREDENTIAL,
        "The temporary access key does not exist any more: it has expired.",
        "Get a new key with its security token, or use auth_type metadata or agency, which "
        "renew keys automatically.",
    )
    SECURITY_TOKEN_WRONG = (
        Check.CREDENTIAL,
        "The security token does not belong to the temporary access key.",
        "Copy access key, secret key and security token from the same answer.",
    )
    WRONG_SECRET = (
        Check.CREDENTIAL,
        "The secret key does not belong to the access key.",
        "Check the secret key, but do not try several: five wrong signatures lock the access "
        "key. A proxy that rewrites requests also breaks signatures.",
    )
    KEY_LOCKED = (
        Check.CREDENTIAL,
        "The access key is locked after too many wrong signatures.",
        "Stop everything that uses a wrong secret key, wait five minutes, and use the right one.",
    )
    TOKEN_EXPIRED = (
        Check.CREDENTIAL,
        "The token has expired.",
        "Get a new one: a token is valid for at most 24 hours. auth_type password renews it "
        "automatically.",
    )
    TOKEN_UNREADABLE = (
        Check.CREDENTIAL,
        "The service cannot read the token.",
        "Copy all of X-Subject-Token. A token is valid only in the cloud whose IAM issued it.",
    )
    TOKEN_OF_OTHER_REGION = (
        Check.CREDENTIAL,
        "The token is for another region or project.",
        "Get a token for the project of this region, or set region and project_id to those of "
        "the token.",
    )
    WRONG_PASSWORD = (
        Check.CREDENTIAL,
        "IAM does not accept this combination of user, password and account.",
        "Check the login (the name of an IAM user), its password, and account (the name of the"
        " account that the user belongs to).",
    )
    AGENCY_REFUSED = (
        Check.CREDENTIAL,
        "IAM does not issue keys for the agency.",
        "Check agency and account. The keys of the connection need the role Agent Operator, in"
        " the account that the agency was created for.",
    )
    NO_AGENCY = (
        Check.CREDENTIAL,
        "No agency is bound to this machine.",
        "Bind an agency that may use DLI to the machine (ECS), or use another auth_type.",
    )
    NO_CREDENTIAL = (
        Check.CREDENTIAL,
        "The credential could not be obtained.",
        "Check auth_type: metadata works only on a machine of the cloud. For password and "
        "agency, check iam_endpoint and the network to it.",
    )
    CREDENTIAL_REFUSED = (
        Check.CREDENTIAL,
        "The credential was refused.",
        "Check what the connection contains: keys, a token, or user, password and account; and"
        " the cloud that they are for.",
    )
    NO_PROJECT = (
        Check.PROJECT,
        "IAM has no such project for this credential.",
        "Check the region, or copy project_id from My Credentials in the console.",
    )
    SEVERAL_PROJECTS = (
        Check.PROJECT,
        "IAM has several projects with the name of the region.",
        "Set project_id to the one to use.",
    )
    PROJECT_NOT_LOOKED_UP = (
        Check.PROJECT,
        "The project could not be looked up in IAM.",
        "Set project_id to the one that the console shows under My Credentials, or check "
        "iam_endpoint and the network to it.",
    )
    OTHER_PROJECT = (
        Check.PROJECT,
        "The project does not belong to this credential.",
        "Copy project_id from My Credentials in the console, of the account that the "
        "credential belongs to.",
    )
    OTHER_REGION = (
        Check.PROJECT,
        "The project belongs to another region.",
        "Set project_id to a project of the region, or set the region of the project.",
    )
    NO_PERMISSION = (
        Check.PERMISSION,
        "The credential has no permission to list packages in the project.",
        "Grant its user or agency a role for DLI in this project. A new role may take some "
        "minutes to take effect.",
    )
    PROJECT_OR_PERMISSION = (
        Check.PROJECT,
        "Either the project does not belong to this credential, or the credential has no "
        "permission to use DLI there.",
        "Compare region and project_id with My Credentials in the console, then check the "
        "roles of the user or agency in this project.",
    )
    THROTTLED = (
        None,
        "The service received too many requests (429).",
        "Try again in a minute.",
    )
    SERVICE_FAULT = (
        None,
        "The service reports an internal error.",
        "Try again later. Support asks for the request id.",
    )
    OTHER = (
        None,
        "The service refuses the request for an unknown reason.",
        "See its own message for details. Support asks for the request id.",
    )
