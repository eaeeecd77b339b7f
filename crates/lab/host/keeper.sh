#!/bin/bash
# Keeps one throw-away host: takes the machine-wide lock, boots the host in namespaces of its own, and takes everything
# away again when its standard input ends. The kernel closes that pipe however the lab goes (dropped, Ctrl-C, SIGKILL),
# so nothing can outlive it. This script is in a process group of its own, where Ctrl-C on a terminal does not reach it.
#
#   keeper.sh LOCK INIT     INIT is the text of init.sh; the host's PID 1, as seen from here, goes to standard output.
lock=$1 init=$2 name=why502-lab

exec 9>>"$lock" # appending: what stands there, or behind a link that somebody put there, stays as it is
flock 9 # hosts share the kernel log and the cgroup's name: one at a time

hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }
remove_cgroups() {
  local top left
  for top in $(hierarchies); do
    for _ in $(seq 100); do # a cgroup can only go once its last process is gone
      [ -d "$top/$name" ] || break
      find "$top/$name" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$top/$name" ] && sleep 0.05
    done
  done
}
remove_cgroups # those of a keeper that was itself killed

# The host's processes live below a cgroup of their own, whose namespace hides what is above it.
for top in $(hierarchies); do
  mkdir -p "$top/$name"
  if [ -e "$top/cpuset.mems" ] && [ -e "$top/cpuset.sched_load_balance" ]; then # version 1 refuses tasks until both are set
    cat "$top/cpuset.cpus" > "$top/$name/cpuset.cpus"
    cat "$top/cpuset.mems" > "$top/$name/cpuset.mems"
  fi
done
(
  exec 9>&- </dev/null
  for top in $(hierarchies); do echo "$BASHPID" > "$top/$name/cgroup.procs" || exit 1; done
  exec unshare --fork --kill-child --pid --mount --uts --ipc --net --cgroup bash -c "$init" init.sh
) &
outer=$!

cat > /dev/null # until the lab lets go
kill -KILL "$outer" 2>/dev/null # unshare takes PID 1 along, and with it every process, mount and device of the host
wait "$outer" 2>/dev/null
remove_cgroups
