# shellcheck shell=bash
# Sourced by scripts that run programs beside themselves.

# line FILE PATTERN JOB : waits, for half a minute, until the program behind the file has printed such a line, and prints it.
line() {
  for _ in $(seq 300); do
    grep -m 1 -- "$2" "$1" 2> /dev/null && return 0
    kill -0 "$3" 2> /dev/null || break
    sleep 0.1
  done
  echo "${1##*/}: no line with '$2' in time; there was:" >&2
  cat "$1" >&2
  return 1
}
