# Sourced by the checks of the installed package, after verdict.sh: a member of group perfbroker with a process to record, and
# what systemd and the parts of the daemon say.
socket=/run/perfbroker/broker.sock
home=/home/member
policies=/etc/perfbroker/policy.d

property() { # property UNIT NAME
  systemctl show --value --property "$2" "$1"
}
is() { # is UNIT STATE
  seen=$(property "$1" ActiveState)
  [ "$seen" = "$2" ] || {
    echo "$1 is $seen"
    systemctl status --no-pager --full --lines 20 "$1"
    return 1
  }
}
call() { # call USER METHOD PARAMETERS: one line of JSON, or the error's name on standard error
  as "$1" varlinkctl --no-pager --timeout=$patience --json=short call $socket "org.perfbroker.Broker.$2" "$3"
}
user_of() {
  stat -c %U "/proc/$1"
}
monitor() {
  property perfbroker.service MainPID
}
part() { # part USER: the child of the monitor that runs as this user
  for pid in $(cat "/proc/$(monitor)/task/$(monitor)/children"); do
    [ "$(user_of "$pid")" = "$1" ] && echo "$pid" && return
  done
  echo "no part runs as $1" >&2
  return 1
}
logged() { # logged STRING: since the service began, or before
  journalctl --quiet --output cat --unit perfbroker.service | grep -F -- "$1" || { journalctl --quiet --no-pager --lines 20 --unit perfbroker.service; return 1; }
}
status_has() { # status_has STRING
  holds "$1" "$(property perfbroker.service StatusText)"
}
restarted() { # restarted TIMES
  [ "$(property perfbroker.service NRestarts)" = "$1" ] && is perfbroker.service active
}
granted() { # granted PID: the member has a grant on it
  holds "pid $1 " "$(call $member ListGrants '{}')"
}
explained() { # explained USER PID VERDICT: of sampling this process
  text=$(call "$1" Explain "{\"targets\":[{\"kind\":\"process\",\"pid\":$2}],\"events\":[$event]}") &&
    holds "\"verdict\":\"$3\"" "$text"
}
event='{"source":{"kind":"software","name":"task-clock"},"exclude":["kernel","hv"],"sampling":{"frequency":99},"sampleType":["ip","tid","time"]}'
records() { # records PID FILE SECONDS: as the member
  rm -f "$2"
  kill -CONT "$1"
  as $member perfbroker record -p "$1" --duration "$3" -o "$2" 2>&1
  code=$?
  kill -STOP "$1"
  return $code
}
# In the background until it is interrupted, while the process stands still.
start_recorder() { # start_recorder PID FILE LOG: as the member; its pid in $recorder
  $setpriv --reuid $member --regid $member --init-groups --inh-caps=-all perfbroker record -p "$1" -o "$2" >"$3" 2>&1 &
  recorder=$!
  eventually granted "$1" || { cat "$3"; return 1; }
}
shows_the_hot_function() { # shows_the_hot_function FILE
  text=$(as $member perfbroker report "$1") || { echo "$text"; return 1; }
  holds render_frame "$(echo "$text" | grep -m 1 %)"
}
