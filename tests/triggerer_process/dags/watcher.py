"""A DAG that starts when a package group is READY anew."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher, BaseOperator

from airflow_provider_dli.triggers.packages import PackageGroupUpdatedTrigger

trigger = PackageGroupUpdatedTrigger(group="g", poll_interval=0.5)
ready = Asset("dli-group-g", watchers=[AssetWatcher(name="ready", trigger=trigger)])

with DAG("started", schedule=[ready]):
    BaseOperator(task_id="never_run")
