# IGNet: from a dataset (or nothing) to trained, evaluated and compared LiDAR segmentation networks.
# One experiment file decides everything: `snakemake --cores all --configfile config/demo.yaml` is the default.
from snakemake.utils import min_version

min_version("9.0")

if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/demo.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/training_2d.smk"
include: "workflow/rules/training_3d.smk"
include: "workflow/rules/results.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/dataset/manifest.csv",
        f"{RESULTS}/compare/summary.txt",
        f"{RESULTS}/report/index.html",
        f"{RESULTS}/figures/data.png",
        f"{RESULTS}/figures/predictions",
        expand(f"{RESULTS}/figures/projection/{{sequence}}.png", sequence=EXPERIMENT.dataset.sequences),


after_planning(workflow, check_plan)


onstart:
    begin()


onsuccess:
    remove_states()
    report_killed_jobs()
    print(outcome(Path(RESULTS), (str(file) for job in workflow.dag.jobs for file in job.output)), end="")


onerror:
    remove_states()
    report_killed_jobs()
