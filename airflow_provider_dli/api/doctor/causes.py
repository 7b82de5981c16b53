# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a connection to DLI, as data: the sentence for it and its remedy.

`docs/connection.md` has the same table.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class Check(StrEnum):
    """What is checked, in this order."""

    CONNECTION = "connection"
    ADDRESS = "address"
    TLS = "TLS"
    CLOCK = "clock"
    CREDENTIAL = "credential"
    PROJECT = "project"
    PERMISSION = "permission"


class Cause(Enum):
    """One reason why a check fails: the check, what is found, and what to do about it.

    Without a check it may be any: then the first one fails that is not decided yet.
    """

    def __init__(self, check: Check | None, message: str, remedy: str) -> None:
        self.check = check
        self.message = message
        self.remedy = remedy

    @property
    def key(self) -> str:
        """The name by which a program knows it, such as `wrong-secret`."""
        return self.name.lower().replace("_", "-")

    CONNECTION_MISSING = (
        Check.CONNECTION,
        "Airflow has no connection of this name.",
        "Create it with the type dli, or give the name of another one.",
    )
    CONNECTION_WRONG = (
        Check.CONNECTION,
        "A field of the connection is missing or wrong.",
        "Correct the field that is named.",
    )
    CONNECTION_UNREADABLE = (
        Check.CONNECTION,
        "Airflow cannot read the connection.",
        "Check Airflow's secrets backend, database and Fernet key. In AIRFLOW_CONN_… a connection"
        " is a URI or a JSON object.",
    )
    UNKNOWN_HOST = (
        Check.ADDRESS,
        "There is no host of this name.",
        "Check cloud and region, or the endpoint: DLI is not in every region, and in a closed "
        "network its name may be known to the proxy only.",
    )
    NO_NAME_SERVER = (
        Check.ADDRESS,
        "The name of the host could not be looked up.",
        "Check the name servers (DNS) of the machine or container, or set the proxy that it needs.",
    )
    NO_CONNECTION = (
        Check.ADDRESS,
        "No connection to the address comes about.",
        "Check the endpoint and its port, firewall and routes, and whether a proxy is needed: "
        "HTTPS_PROXY, or proxy in the connection.",
    )
    NO_ANSWER = (
        Check.ADDRESS,
        "There is a connection, but no whole answer.",
        "Check what stands in between, such as a proxy or a firewall, and read_timeout of the "
        "connection.",
    )
    PROXY_UNREACHABLE = (
        Check.ADDRESS,
        "The proxy cannot be reached.",
        "Check proxy of the connection or HTTPS_PROXY, or name the host in NO_PROXY if it needs "
        "none.",
    )
    PROXY_LOGIN = (
        Check.ADDRESS,
        "The proxy wants another login (407).",
        "Give it in the proxy's address: http://user:password@host:port, with special characters "
        "percent-encoded.",
    )
    PROXY_REFUSES = (
        Check.ADDRESS,
        "The proxy does not connect to the address.",
        "Check cloud, region and endpoint; if they are right, whoever runs the proxy must allow "
        "it.",
    )
    UNUSABLE_SETUP = (
        Check.ADDRESS,
        "The proxy or the CA bundle of this machine's setup cannot be used.",
        "Check HTTPS_PROXY, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, and proxy and ca_bundle of the"
        " connection.",
    )
    REDIRECT = (
        Check.ADDRESS,
        "The address is not DLI's: it redirects to another one.",
        "Give DLI's own address by cloud and region, or as endpoint. The login page of a network "
        "or of a proxy redirects as well.",
    )
    WEB_PAGE = (
        Check.ADDRESS,
        "A web page answers, not DLI.",
        "Check the endpoint, and whether a proxy or the login page of a network answers in its "
        "place.",
    )
    UNKNOWN_API = (
        Check.ADDRESS,
        "The service at the address does not know DLI's API.",
        "Check cloud and region, or the endpoint: it is that of DLI, not of IAM or another "
        "service.",
    )
    NOT_DLI = (
        Check.ADDRESS,
        "What answers is not DLI.",
        "Check the endpoint, and whether a proxy answers in its place.",
    )
    UNTRUSTED_CA = (
        Check.TLS,
        "The server's certificate comes from a CA that is not trusted.",
        "Set ca_bundle of the connection, or REQUESTS_CA_BUNDLE, to the CA that signed it: that "
        "of the proxy, where one opens TLS.",
    )
    OTHER_CERTIFICATE = (
        Check.TLS,
        "The server's certificate is for another host.",
        "Check the endpoint: it has the host name that the certificate is for.",
    )
    CERTIFICATE_OUTDATED = (
        Check.TLS,
        "The server's certificate is not valid at this time.",
        "Check the clock of this machine; if it is right, whoever runs the server must renew it.",
    )
    NO_TLS = (
        Check.TLS,
        "The server does not speak TLS, or none that this machine speaks.",
        "Check scheme and port of the endpoint, and whether a proxy in between breaks TLS.",
    )
    CLOCK_WRONG = (
        Check.CLOCK,
        "This machine's clock differs by minutes from the service's.",
        "Set the clock (NTP). From 15 minutes on signatures are refused; the client then signs "
        "with the service's time and warns.",
    )
    UNKNOWN_KEY = (
        Check.CREDENTIAL,
        "The access key is unknown.",
        "Check the access key, whether it was deleted or disabled, and the cloud. A temporary key"
        " is unknown without its security_token.",
    )
    SECURITY_TOKEN_MISSING = (
        Check.CREDENTIAL,
        "The access key is a temporary one, and its security token is missing.",
        "Put what was given together with the key into security_token.",
    )
    KEY_EXPIRED = (
        Check.CREDENTIAL,
        "The temporary access key is unknown: it has expired.",
        "Get a new one with its security token, or use auth_type metadata or agency, which do so.",
    )
    SECURITY_TOKEN_WRONG = (
        Check.CREDENTIAL,
        "The security token does not belong to the temporary access key.",
        "Copy access key, secret key and security token from one and the same answer.",
    )
    WRONG_SECRET = (
        Check.CREDENTIAL,
        "The secret key does not belong to the access key.",
        "Check the secret key, but not by trying: five wrong signatures lock the access key. A "
        "proxy that rewrites requests breaks signatures as well.",
    )
    KEY_LOCKED = (
        Check.CREDENTIAL,
        "The access key is locked after too many wrong signatures.",
        "Stop what uses a wrong secret key, wait five minutes, and use the right one.",
    )
    TOKEN_EXPIRED = (
        Check.CREDENTIAL,
        "The token has expired.",
        "Get a new one: a token lives for 24 hours at most. auth_type password does so by itself.",
    )
    TOKEN_UNREADABLE = (
        Check.CREDENTIAL,
        "The service cannot read the token.",
        "Copy all of X-Subject-Token; it is valid only in the cloud whose IAM gave it.",
    )
    TOKEN_OF_OTHER_REGION = (
        Check.CREDENTIAL,
        "The token is for another region or project.",
        "Get a token for the project of this region, or set region and project_id to those of the"
        " token.",
    )
    WRONG_PASSWORD = (
        Check.CREDENTIAL,
        "IAM does not accept user, password and account together.",
        "Check the login (the name of an IAM user), its password, and account (the name of the "
        "account that the user belongs to).",
    )
    AGENCY_REFUSED = (
        Check.CREDENTIAL,
        "IAM does not give keys for the agency.",
        "Check agency and account; the keys of the connection need the role Agent Operator, in "
        "the account for which the agency was made.",
    )
    NO_AGENCY = (
        Check.CREDENTIAL,
        "This machine is bound to no agency.",
        "Bind the machine (ECS) to an agency that may use DLI, or choose another auth_type.",
    )
    NO_CREDENTIAL = (
        Check.CREDENTIAL,
        "The credential could not be fetched.",
        "Check auth_type: metadata works only on a machine of the cloud. For password and agency "
        "check iam_endpoint and the network to it.",
    )
    CREDENTIAL_REFUSED = (
        Check.CREDENTIAL,
        "The credential was refused.",
        "Check what the connection gives: keys, a token, or user, password and account; and the "
        "cloud that they are for.",
    )
    NO_PROJECT = (
        Check.PROJECT,
        "IAM has no such project for this credential.",
        "Check the region, or copy project_id from My Credentials in the console.",
    )
    SEVERAL_PROJECTS = (
        Check.PROJECT,
        "IAM has several projects with the name of the region.",
        "Put the right one into project_id.",
    )
    PROJECT_NOT_LOOKED_UP = (
        Check.PROJECT,
        "The project could not be looked up in IAM.",
        "Give project_id, which the console shows under My Credentials; or check iam_endpoint and"
        " the network to it.",
    )
    OTHER_PROJECT = (
        Check.PROJECT,
        "The project is none of those of this credential.",
        "Copy project_id from My Credentials in the console, of the account that the credential "
        "belongs to.",
    )
    OTHER_REGION = (
        Check.PROJECT,
        "The project belongs to another region.",
        "Give the project of the region, or the region of the project.",
    )
    NO_PERMISSION = (
        Check.PERMISSION,
        "The credential has no right to list packages in the project.",
        "Give its user or agency a role for DLI in this project; a new one may take some minutes "
        "to count.",
    )
    PROJECT_OR_PERMISSION = (
        Check.PROJECT,
        "Either the project is not this credential's, or the right to use DLI there is missing.",
        "Check region and project_id against My Credentials in the console, then the roles of the"
        " user or agency in this project.",
    )
    THROTTLED = (
        None,
        "The service is asked too often (429).",
        "Ask again in a minute.",
    )
    SERVICE_FAULT = (
        None,
        "The service has a fault of its own.",
        "Try again later; support asks for the request id.",
    )
    OTHER = (
        None,
        "The service refuses for a reason that is not known here.",
        "Its own words may say more; support asks for the request id.",
    )
