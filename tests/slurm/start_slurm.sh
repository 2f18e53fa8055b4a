#!/usr/bin/env bash
# A real SLURM of one node for tests, without systemd. Its settings, key, state and logs all lie in one folder; beside that there is only
# the link /etc/slurm/slurm.conf.
#
#   start_slurm.sh start FOLDER    starts munged, slurmctld and slurmd
#   start_slurm.sh stop FOLDER     ends them and whatever jobs they have
#
# Needs root, because slurmd starts jobs as other users, and Debian's packages, which it installs if they are missing.
# Exit code 3: this machine cannot do it, with the reason on standard error.
set -euo pipefail
action=${1:-} folder=${2:-}
# SLURM_CONF would not do: Snakemake's plugin drops the variables SLURM_* before it calls srun
link=/etc/slurm/slurm.conf
packages="slurmctld slurmd slurm-client munge"
cannot() { printf 'cannot start a test SLURM: %s\n' "$*" >&2; exit 3; }
fail() { printf 'error: %s (logs: %s)\n' "$*" "$folder/log" >&2; exit 1; }
{ [ "$action" = start ] || [ "$action" = stop ]; } && [ -n "$folder" ] || { echo "usage: $0 start|stop FOLDER" >&2; exit 2; }

running() { [ -s "$folder/run/$1.pid" ] && kill -0 "$(cat "$folder/run/$1.pid")" 2> /dev/null; }

# by the id that the daemon wrote down, so that no other SLURM on the machine is hit
end() {
  running "$1" || return 0
  local pid; pid=$(cat "$folder/run/$1.pid")
  kill "$pid" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2> /dev/null || true
}

await() { # await SECONDS WHAT COMMAND...
  local tries=$(($1 * 5)) what=$2
  shift 2
  for ((i = 0; i < tries; i++)); do "$@" > /dev/null 2>&1 && return 0; sleep 0.2; done
  fail "$what did not come up"
}

if [ "$action" = stop ]; then
  if running slurmctld; then
    timeout 10 scancel --user=root --state=pending || true
    timeout 10 scancel --user=root --signal=KILL --full || true
    for _ in $(seq 50); do [ -z "$(timeout 5 squeue --noheader 2> /dev/null)" ] && break; sleep 0.2; done
  fi
  for daemon in slurmd slurmctld munged; do end "$daemon"; done
  rm -f "$folder"/gpu[0-9]
  [ "$(readlink "$link")" != "$folder/slurm.conf" ] || rm -f "$link"
  # what the kernel kept of this node's jobs; rmdir takes empty ones only
  find /sys/fs/cgroup -depth -type d -path "*/slurm_$(hostname -s)*" -exec rmdir {} + 2> /dev/null || true
  exit 0
fi

# --- can this machine do it ---------------------------------------------------------------------------------------------------
[ "$(uname -s)" = Linux ] || cannot "found $(uname -s), expected Linux"
[ "$(id -u)" = 0 ] || cannot "it needs root; run it in a container or on a machine of your own"
! { pgrep -x slurmd || pgrep -x slurmctld; } > /dev/null || cannot "a SLURM runs here already; use a machine that is no part of a cluster"
if ! { command -v slurmctld && command -v slurmd && command -v sbatch && command -v munged; } > /dev/null; then
  command -v apt-get > /dev/null || cannot "slurmctld, slurmd, sbatch or munged is missing and there is no apt-get; install SLURM and munge"
  echo "installing $packages"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } > /dev/null 2>&1 ||
    cannot "apt-get install $packages failed"
fi
[ ! -e "$link" ] || cannot "found $link, expected none; use a machine that is no part of a cluster"
mkdir -p /etc/slurm "$folder"/{run,log,state,spool}
chmod 755 "$folder" "$folder/run"
host=$(hostname -s)
getent hosts "$host" > /dev/null || cannot "the host name '$host' has no address; add '127.0.1.1 $host' to /etc/hosts"

# --- munge, with a key and a socket of its own --------------------------------------------------------------------------------
umask 077
head -c 128 /dev/urandom > "$folder/munge.key"
umask 022
munged --key-file="$folder/munge.key" --socket="$folder/run/munge.socket" --pid-file="$folder/run/munged.pid" \
  --log-file="$folder/log/munged.log" --seed-file="$folder/munge.seed"
await 10 munged munge --socket="$folder/run/munge.socket" --no-input

# --- the node -----------------------------------------------------------------------------------------------------------------
node=$(SLURM_CONF=/dev/null slurmd -C | head -n 1 | sed -E 's/^NodeName=[^ ]+ //; s/RealMemory=[0-9]+//')
memory=$(($(SLURM_CONF=/dev/null slurmd -C | sed -nE 's/.*RealMemory=([0-9]+).*/\1/p') - 512))
# SLURM 22.05 wants a device file for each GPU; nothing ever opens this one
mknod "$folder/gpu0" c 1 3 || cannot "mknod is not allowed here"
echo "NodeName=$host Name=gpu File=$folder/gpu0" > "$folder/gres.conf"
printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' > "$folder/cgroup.conf"
if [ -w /sys/fs/cgroup/memory ] && [ -w /sys/fs/cgroup/freezer ]; then
  # the kernel holds a job to its memory, as on a cluster
  containment=$'ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/linux'
  printf 'ConstrainRAMSpace=yes\nConstrainSwapSpace=no\n' >> "$folder/cgroup.conf"
else
  # slurmd looks at it once a second; process groups, because linuxproc loses children whose parent has ended
  containment=$'ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1\nJobAcctGatherParams=OverMemoryKill,UsePss'
fi
cat > "$folder/slurm.conf" << CONF
ClusterName=ignet-test
SlurmctldHost=$host
SlurmctldPort=26817
SlurmdPort=26818
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
# a requeued job may start again after cred_expire seconds, not after two minutes
AuthInfo=socket=$folder/run/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
$containment
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
GresTypes=gpu
AccountingStorageType=accounting_storage/none
# finished jobs stay visible for the whole test
MinJobAge=3600
KillWait=5
MpiDefault=none
JobRequeue=1
# a node that was set DOWN stays so until it is resumed
ReturnToService=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# refuse what can never run, instead of letting it wait for ever
EnforcePartLimits=ALL
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
NodeName=$host $node RealMemory=$memory Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=1-0 PriorityTier=1 PreemptMode=REQUEUE GraceTime=5 State=UP
PartitionName=urgent Nodes=$host MaxTime=1-0 PriorityTier=10 PreemptMode=OFF State=UP
CONF

# --- the daemons --------------------------------------------------------------------------------------------------------------
ln -sfn "$folder/slurm.conf" "$link"
slurmctld -c -f "$folder/slurm.conf" || fail "slurmctld ends at once"
await 20 slurmctld sh -c 'scontrol ping | grep -q UP'
slurmd -c -f "$folder/slurm.conf" || fail "slurmd ends at once"
await 30 "the node" sh -c "sinfo --noheader --format=%T | grep -Eqx 'idle|mixed|allocated'"
sinfo --Node --format='%N %P %T cpus=%c memory=%m %G'
