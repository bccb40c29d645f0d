# Shared by the tools in this folder (sourced, POSIX sh): messages, long steps with a log, and the cache's place.
# Owns no build rule: those are in the Makefile. Read next: tools/fetch-source.

tool=${0##*/}
top=$(cd "$(dirname "$0")/.." && pwd)
cache=${FERRULE_CACHE:-${XDG_CACHE_HOME:-${HOME:-$top}/.cache}/ferrule}

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    printf '%s: %s\n' "$tool" "$*" >&2
    exit 1
}

need() {
    command -v "$1" >/dev/null 2>&1 || fail "$1 is missing (Debian package $2)"
}

# long_step LOG NAME TEXT COMMAND...: a line before (what, why, how long), a line with the result, the log's tail on
# failure. Whole lines, because other steps may be running beside it.
long_step() {
    step_log=$1
    step_name=$2
    say "$2: $3"
    shift 3
    step_start=$(date +%s)
    if "$@" >"$step_log" 2>&1; then
        say "$step_name: done in $(($(date +%s) - step_start)) s"
        return 0
    fi
    say "$step_name: failed; the end of $step_log:"
    tail -n 25 "$step_log" | sed 's/^/    /' >&2
    return 1
}

# manifest NAME COLUMN: one field of third_party/manifest.tsv.
manifest() {
    manifest_value=$(awk -F '\t' -v name="$1" -v column="$2" '
        /^#/ { next }
        !head { for (i = 1; i <= NF; i++) index_of[$i] = i; head = 1; next }
        $1 == name { print $(index_of[column]) }' "$top/third_party/manifest.tsv")
    [ -n "$manifest_value" ] || fail "third_party/manifest.tsv has no $2 for '$1'"
    printf '%s\n' "$manifest_value"
}

sha256_of() {
    sha256sum "$1" | cut -d ' ' -f 1
}
