# SPDX-License-Identifier: Apache-2.0
"""Why a Spark job may be dead, as data: the sentence for it, its remedy, whether a retry helps.

`docs/spark.md` has the same table.
"""

from __future__ import annotations

from enum import Enum


class JobCause(Enum):
    """One reason for the end of a job: what is found, what to do, whether it would happen again.

    It is permanent where the same job would fail in the same way until somebody changes something.
    """

    def __init__(self, message: str, remedy: str, is_permanent: bool) -> None:
        self.message = message
        self.remedy = remedy
        self.is_permanent = is_permanent

    @property
    def key(self) -> str:
        """The name by which a program knows it, such as `missing-class`."""
        return self.name.lower().replace("_", "-")

    EXECUTOR_OUT_OF_MEMORY = (
        "An executor ran out of memory.",
        "Raise executor_memory, lower executor_cores (fewer tasks share it), or use more partitions"
        ". What Python takes counts in spark.executor.memoryOverhead.",
        False,
    )
    RESULT_TOO_LARGE = (
        "The tasks sent the driver more than it takes.",
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
        "A memory setting is too small or has no unit that Spark knows.",
        'Give driver_memory and executor_memory with a unit, such as "4G" or "2048M".',
        True,
    )
    AGENCY = (
        "The agency of the job is missing or may not be used.",
        "Name one in execution_agency_urn (its name, in spite of the word) that DLI may use and "
        "that may read the job's files: "
        "https://support.huaweicloud.com/eu/usermanual-dli/dli_01_0616.html",
        True,
    )
    OBS_DENIED = (
        "OBS refuses the job (403).",
        "Give the job's agency, or on older engines the user, the right to read and write the "
        "bucket. DLI's own log bucket may not be used by jobs.",
        True,
    )
    OBS_MISSING = (
        "OBS has no such object or bucket (404).",
        "Check the path, and that the file was staged before the job.",
        True,
    )
    MISSING_MODULE = (
        "Python lacks a module.",
        "Give it to the job in py_files, as .py, .zip or .egg, or stage it with the application.",
        True,
    )
    OTHER_BUILD = (
        "The application was built for another version of Java, Scala, Spark or a library.",
        "Build it for the engine of spark_version, and leave out of the JAR what the engine has.",
        True,
    )
    MISSING_CLASS = (
        "A class is missing.",
        "Check class_name, and give the JAR that has the class in jars. Classes of data sources of "
        "DLI need their module in modules.",
        True,
    )
    METADATA_DENIED = (
        "The user may not use a database or table of DLI.",
        "Ask its owner for the right: https://support.huaweicloud.com/dli_faq/dli_03_0192.html",
        True,
    )
    QUEUE = (
        "The queue does not exist or does not take the job.",
        "Check queue: it has to be a general-purpose queue of this project that runs.",
        False,
    )
    QUOTA = (
        "A quota is used up.",
        "Wait for other jobs to end, ask for fewer resources, or for a higher quota.",
        False,
    )
    PATH_MISSING = (
        "A path that the job reads does not exist.",
        "Check the path, and that what it names is written before the job.",
        False,
    )
    NETWORK = (
        "The job cannot reach a server.",
        "Check address and port, and that a datasource connection binds the queue to the network "
        "of the server.",
        False,
    )
    KILLED = (
        "The job was cancelled or ended outside Airflow.",
        "Somebody cancelled it, or the service ended it, for instance for want of resources.",
        False,
    )
    PYTHON_EXCEPTION = (
        "The application raised an exception.",
        "The traceback in the log says where.",
        False,
    )
    JAVA_EXCEPTION = (
        "The application threw an exception.",
        "The stack trace in the log says where.",
        False,
    )
    NO_RESOURCES = (
        "The queue had no resources for the job.",
        "Ask for fewer or smaller executors, or for a larger queue. Without resources for about 3 "
        "hours a job is dead.",
        False,
    )
