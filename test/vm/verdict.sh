# Sourced by the checks: one line a verdict, `ok SENTENCE` or `not ok SENTENCE` with what was seen.
root=/opt/perfbroker/dist/bin
member=60123
outsider=60124
failures=0
patience=180 # seconds, for one command: emulated, beside other work
said=/tmp/said
setpriv=/usr/bin/setpriv # the full one: the shell prefers its own by name

verdict() { # verdict SENTENCE COMMAND ARGUMENTS: what the command writes is shown when it fails
  sentence=$1
  shift
  if "$@" >$said 2>&1; then
    echo "ok $sentence"
  else
    echo "not ok $sentence"
    sed 's/^/  # /' $said
    failures=$((failures + 1))
  fi
}
skip() { # skip SENTENCE REASON
  echo "ok $1 # skipped: $2"
}

as() { # as USER COMMAND ARGUMENTS: with the user's groups and no capability
  user=$1
  shift
  timeout $patience $setpriv --reuid "$user" --regid "$user" --init-groups --inh-caps=-all "$@"
}
with_capability() { # with_capability NUMBER COMMAND ARGUMENTS: a user with one capability alone
  capability=$1
  shift
  timeout $patience $setpriv --reuid $member --regid $member --clear-groups --inh-caps="-all,+cap_$capability" \
    --ambient-caps="-all,+cap_$capability" "$@"
}
holds() { # holds STRING TEXT
  case $2 in *"$1"*) return 0 ;; esac
  echo "$1 is not in: $2"
  return 1
}
fails_with() { # fails_with STRING COMMAND ARGUMENTS: exit code 1, and the string in what it says
  wanted=$1
  shift
  text=$("$@" 2>&1)
  code=$?
  [ $code = 1 ] || { echo "exit code $code: $text"; return 1; }
  holds "$wanted" "$text"
}
eventually() { # eventually COMMAND ARGUMENTS: within a minute
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { "$@"; return; }
    sleep 0.2
  done
}
# Busy only while it is recorded, as the emulated cpus share one of the machine.
start_workload() { # start_workload USER: its pid in $workload
  $setpriv --reuid "$1" --regid "$1" --init-groups --inh-caps=-all ./workload >/dev/null 2>&1 &
  workload=$!
  eventually grep -q workload /proc/$workload/comm
  kill -STOP $workload
}
# Every thread of a process: its capability sets are these and no others, and nothing can be gained.
all_threads_hold() { # all_threads_hold PID USER PERMITTED-AND-EFFECTIVE LEAST-THREADS
  threads=0
  for status in /proc/"$1"/task/*/status; do
    threads=$((threads + 1))
    seen=$(awk '/^(Cap|Uid|NoNewPrivs|Seccomp:)/ { printf "%s%s ", $1, $2 }' "$status")
    wanted="Uid:$2 CapInh:0000000000000000 CapPrm:$3 CapEff:$3 CapBnd:0000000000000000 CapAmb:0000000000000000 NoNewPrivs:1 Seccomp:2 "
    [ "$seen" = "$wanted" ] || { echo "$status: $seen instead of $wanted"; return 1; }
  done
  [ $threads -ge "$4" ] || { echo "$threads threads"; return 1; }
}

log=/var/log/perfbrokerd.log
audit=/var/log/perfbroker-audit.log
start_daemon() { # start_daemon OPTIONS: its pid in $monitor; $log has what it says, and nothing of the one before
  : >$log
  $root/perfbrokerd --audit $audit "$@" 2>>$log &
  monitor=$!
}
serving() {
  grep 'serving on /run/perfbroker/broker.sock' $log || { cat $log; return 1; }
}
