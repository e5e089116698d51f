# shellcheck shell=bash
# Sourced by the scripts of this folder. Installs missing Debian packages.

# ensure COMMAND=PACKAGE...: installs each package whose command (or file) is missing, and prints their names.
ensure() {
  local pair missing=()
  for pair in "$@"; do
    case ${pair%%=*} in
      /*) [ -e "${pair%%=*}" ] ;;
      *) command -v "${pair%%=*}" >/dev/null ;;
    esac || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "missing: ${missing[*]} (as root on Debian they would be installed now)" >&2
    return 1
  fi
  echo "installing Debian packages: ${missing[*]}" >&2
  # The package lists are updated once per run.
  [ -n "${PACKAGES_UPDATED-}" ] || apt-get update -qq >&2
  export PACKAGES_UPDATED=1
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# toolchain COMMAND...: fails if a command of Rust, Go or Node.js is missing. These are not installed.
toolchain() {
  local name missing=()
  for name in "$@"; do command -v "$name" >/dev/null || missing+=("$name"); done
  [ ${#missing[@]} -eq 0 ] || { echo "missing: ${missing[*]}; install Rust, Go and Node.js (20 or later) first" >&2; return 1; }
}
