# SPDX-License-Identifier: Apache-2.0
"""The known causes of a dead Spark job: a message, a remedy, and whether a retry helps.

`docs/spark.md` has the same table.
"""

from __future__ import annotations

from enum import Enum


class JobCause(Enum):
    """Why a job failed: the message, the remedy, and whether it is permanent.

    A permanent cause makes the same job fail again until somebody changes something.
    """

    def __init__(self, message: str, remedy: str, is_permanent: bool) -> None:
        self.message = message
        self.remedy = remedy
        self.is_permanent = is_permanent

    @property
    def key(self) -> str:
        """The name of the cause in code, such as `missing-class`."""
        return self.name.lower().replace("_", "-")

    EXECUTOR_OUT_OF_MEMORY = (
        "An executor ran out of memory.",
        "Raise executor_memory, lower executor_cores (fewer tasks share the memory), or use more "
        "partitions. Memory of Python processes counts towards spark.executor.memoryOverhead.",
        False,
    )
    RESULT_TOO_LARGE = (
        "The tasks sent more results to the driver than it accepts.",
        "Write results with the executors instead of collecting them, or raise "
        "spark.driver.maxResultSize in conf, and driver_memory with it.",
        False,
    )
    DRIVER_OUT_OF_MEMORY = (
        "The driver ran out of memory.",
        "Raise driver_memory, and collect less into the driver.",
        False,
    )
    MEMORY_SETTING = (
        "A memory setting is too small, or its unit is unknown to Spark.",
        'Set driver_memory and executor_memory with a unit, such as "4G" or "2048M".',
        True,
    )
    AGENCY = (
        "The agency of the job is missing or cannot be used.",
        "Set execution_agency_urn to the name of an agency that DLI may use and that has access to "
        "the job's files: "
        "https://support.huaweicloud.com/eu/usermanual-dli/dli_01_0616.html",
        True,
    )
    OBS_DENIED = (
        "OBS denies access to the job (403).",
        "Grant the job's agency, or on older engines the user, permission to read and write the "
        "bucket. Jobs cannot use DLI's own log bucket.",
        True,
    )
    OBS_MISSING = (
        "An OBS object or bucket does not exist (404).",
        "Check the path, and that the file was staged before the job.",
        True,
    )
    MISSING_MODULE = (
        "A Python module is missing.",
        "Add it to py_files, as .py, .zip or .egg, or stage it with the application.",
        True,
    )
    OTHER_BUILD = (
        "The application was built for another version of Java, Scala, Spark or a library.",
        "Build it for the engine of spark_version, and exclude from the JAR what the engine has.",
        True,
    )
    MISSING_CLASS = (
        "A class is missing.",
        "Check class_name, and add the JAR that has the class to jars. Classes of DLI's data "
        "sources need their module in modules.",
        True,
    )
    METADATA_DENIED = (
        "The user has no permission for a DLI database or table.",
        "Ask its owner for the permission: https://support.huaweicloud.com/dli_faq/dli_03_0192.html",
        True,
    )
    QUEUE = (
        "The queue does not exist or does not accept the job.",
        "Check queue: it must be a running general-purpose queue of this project.",
        False,
    )
    QUOTA = (
        "A quota is used up.",
        "Wait for other jobs to end, request fewer resources, or request a higher quota.",
        False,
    )
    PATH_MISSING = (
        "A path that the job reads does not exist.",
        "Check the path, and that the data is written before the job runs.",
        False,
    )
    NETWORK = (
        "The job could not connect to a server.",
        "Check address and port, and that a datasource connection binds the queue to the network "
        "of the server.",
        False,
    )
    KILLED = (
        "The job was cancelled or ended outside Airflow.",
        "Somebody cancelled it, or the service ended it, for instance for lack of resources.",
        False,
    )
    PYTHON_EXCEPTION = (
        "The application raised an exception.",
        "See the traceback in the log.",
        False,
    )
    JAVA_EXCEPTION = (
        "The application threw an exception.",
        "See the stack trace in the log.",
        False,
    )
    NO_RESOURCES = (
        "The queue had no resources for the job.",
        "Request fewer or smaller executors, or a larger queue. A job without resources for about "
        "3 hours ends as dead.",
        False,
    )
