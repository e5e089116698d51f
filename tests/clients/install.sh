#!/usr/bin/env bash
# Installs the packages of the clients from package-lock.json, unless they are installed.
set -euo pipefail
cd "$(dirname "$0")"
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
  echo "clients: installing Microsoft's SignalR client, Azurite and Playwright (npm ci)" >&2
  npm ci --no-audit --no-fund --silent
  cp package-lock.json node_modules/.installed-lock.json
fi
