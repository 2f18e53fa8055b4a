"""An executor of Snakemake that keeps each job in a queue until the command in QUEUED_MEANWHILE has run, and starts it
then as SLURM would.

Snakemake finds it by its name where its parent folder is in PYTHONPATH: ``snakemake --executor queued --jobs 1``.
"""

import os
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.settings import CommonSettings

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    # as SLURM's: a site may hand on the environment, or not
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=0,
)


class Executor(RemoteExecutor):
    """Runs one job after the other, each in a Snakemake of its own."""

    def run_job(self, job: JobExecutorInterface) -> None:
        script = Path(self.get_jobscript(job)).resolve()
        self.write_jobscript(job, script)
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=str(job.jobid), aux={"script": script}))

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            subprocess.run(os.environ.get("QUEUED_MEANWHILE", "true"), shell=True, check=True)
            done = subprocess.run(["bash", str(info.aux["script"])], check=False)
            if done.returncode == 0:
                self.report_job_success(info)
            else:
                self.report_job_error(info)
        return
        yield

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        pass
