# shellcheck shell=bash
# Sourced by scripts that run programs in the background.

# line FILE PATTERN JOB: waits up to 30 s until the output file of a job has a line that matches the pattern, and prints it.
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
