# Airlock's wrapper: runs one command at most once, spools what it writes, records how it ended.
#
# Sent whole as an argument and run inside the sandbox (POSIX shell, coreutils; util-linux if there):
#   /bin/sh -c 'eval "$1"' airlock TEXT launch DIR USER SECONDS CAP TAIL KEEP
#   /bin/sh -c 'eval "$1"' airlock TEXT kill DIR
#   /bin/sh -c 'eval "$1"' airlock TEXT end BASE
# DIR is <base>/<execution id>/<index>; its making is the once-lock. Beside it the engine has put
# DIR.job.<fence>, the command's own script, whose last line is "main", and perhaps DIR.in, its
# standard input. `launch` prints one word - started, already, or lost (no lock and no script) -
# then waits for the end and prints "ended CODE TIMEDOUT KILLED START END" or "dead" (the runner is
# gone and left no exit code). The runner is detached: whoever launched it may die. `kill` ends one
# command; `end` those of a whole execution, <base>/<execution id>, and takes the locks of those that
# are prepared, so that no late launch starts one.
#
# In DIR: out, err (the first CAP bytes), *.rest (how many more), *.tail (the last TAIL of those),
# rc (written aside, then renamed). All of it may be forged by a command that becomes root: the
# engine's run record decides, not these files.
set -u
umask 077
text=$1 action=$2 dir=$3

now() {
    t=$(date +%s%3N 2>/dev/null)
    case $t in '' | *[!0-9]*) t=$(date +%s)000 ;; esac
    echo "$t"
}

nap() { sleep "$1" 2>/dev/null || sleep 1; }

# Signals the command's process group; with KILL also all of its session.
stop_tree() {
    kill "-$1" -- "-$pid" 2>/dev/null || kill "-$1" "$pid" 2>/dev/null
    [ "$1" = KILL ] || return 0
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        # After the name in parentheses: state, parent, group, session.
        set -- ${line##*) }
        [ "${4-}" = "$pid" ] || continue
        stat=${stat#/proc/}
        kill -KILL "${stat%/stat}" 2>/dev/null
    done
    return 0
}

# Copies a FIFO: an exact head as it comes, then the count and the tail of the rest.
spool() {
    mkfifo "$dir/$1.count"
    wc -c <"$dir/$1.count" >"$dir/$1.rest" &
    {
        # Not dd: it counts a short read as a whole block.
        $prompt head -c "$cap" >"$dir/$1"
        tee "$dir/$1.count" | tail -c "$tail" >"$dir/$1.tail"
    } <"$dir/$1.fifo"
    wait
    : >"$dir/$1.done"
}

# The words that become `user`, or nothing where that is not possible or not needed.
drop_to() {
    [ "$(id -u)" = 0 ] && [ "$1" != root ] && id -u "$1" >/dev/null 2>&1 || return 0
    ids="--reuid=$(id -u "$1") --regid=$(id -g "$1")"
    for groups in --init-groups --clear-groups --keep-groups; do
        if setpriv $ids $groups true 2>/dev/null; then
            echo "setpriv $ids $groups --"
            return 0
        fi
    done
    if runuser -u "$1" -- true 2>/dev/null; then echo "runuser -u $1 --"; fi
}

home_of() {
    while IFS=: read -r name _ _ _ _ home _; do
        [ "$name" = "$1" ] && echo "$home" && return 0
    done </etc/passwd
    echo "${HOME:-/}"
}

# Ends the command when its time is up, and says so before it does.
watchdog() {
    sleep "$seconds" &
    trap 'kill $! 2>/dev/null; exit 0' TERM
    wait $!
    : >"$dir/timedout"
    stop_tree TERM
    trap - TERM
    nap 2
    stop_tree KILL
}

run() {
    user=$4 seconds=$5 cap=$6 tail=$7 keep=$8
    echo $$ >"$dir/runner"
    mkfifo "$dir/out.fifo" "$dir/err.fifo"
    # Room for the exit code, so that a full disk cannot keep it away.
    echo '                                                                ' >"$dir/rc.tmp"
    : >"$dir/empty"
    [ -e "$dir.in" ] && mv "$dir.in" "$dir/in" || mv "$dir/empty" "$dir/in"
    drop=$(drop_to "$user")
    [ -n "$drop" ] || user=$(id -un 2>/dev/null || echo root)
    chmod 711 "$dir"
    chmod 600 "$dir/job" "$dir/in"
    if [ -n "$drop" ]; then
        chown "$user" "$dir/job" "$dir/in" "$dir/out.fifo" "$dir/err.fifo"
    fi
    own=
    if command -v setsid >/dev/null 2>&1; then own=setsid; fi
    # Output is seen as it comes where head can be told not to keep it back.
    prompt=
    if stdbuf -o0 true 2>/dev/null; then prompt='stdbuf -o0'; fi
    spool out &
    spool err &
    start=$(now)
    (
        umask 022
        HOME=$(home_of "$user") USER=$user LOGNAME=$user SHELL=/bin/bash
        export HOME USER LOGNAME SHELL
        exec $own $drop /bin/sh "$dir/job"
    ) <"$dir/in" >"$dir/out.fifo" 2>"$dir/err.fifo" &
    pid=$!
    echo "$pid" >"$dir/pid"
    # Who kills looks for the pid after it leaves its mark: one of the two sees the other.
    [ -e "$dir/killed" ] && stop_tree KILL
    watchdog &
    dog=$!
    wait "$pid"
    code=$?
    end=$(now)
    kill "$dog" 2>/dev/null
    # Children that were left behind go, unless the sandbox is shared; then only their output does.
    patience=10
    if [ "$keep" = 0 ]; then
        stop_tree KILL
        patience=100
    fi
    while [ "$patience" -gt 0 ] && ! { [ -e "$dir/out.done" ] && [ -e "$dir/err.done" ]; }; do
        nap 0.02
        patience=$((patience - 1))
    done
    timedout=0 killed=0
    [ -e "$dir/timedout" ] && timedout=1
    [ -e "$dir/killed" ] && killed=1
    rm -f "$dir/job" "$dir/in"
    echo "$code $timedout $killed $start $end" | dd of="$dir/rc.tmp" conv=notrunc 2>/dev/null
    mv "$dir/rc.tmp" "$dir/rc"
}

# Waits for the exit code; polls slower as time goes by.
await_end() {
    count=0
    while [ ! -e "$dir/rc" ]; do
        runner=
        [ -e "$dir/runner" ] && { read -r runner <"$dir/runner"; } 2>/dev/null
        if [ -n "$runner" ]; then
            if ! kill -0 "$runner" 2>/dev/null && [ ! -e "$dir/rc" ]; then
                echo dead
                return
            fi
        elif [ "$count" -gt 250 ] || [ ! -d "$dir" ]; then
            echo dead
            return
        fi
        count=$((count + 1))
        if [ "$count" -lt 100 ]; then nap 0.02; else nap 0.1; fi
    done
    # Only the first line, only so much of it: it may be anything.
    echo "ended $(head -c 64 "$dir/rc" | head -n 1)"
}

launch() {
    for job in "$dir".job.*; do
        [ -e "$job" ] && [ "$(tail -n 1 "$job" 2>/dev/null)" = main ] || continue
        if mkdir "$dir" 2>/dev/null; then
            mv "$job" "$dir/job"
            shift
            if command -v setsid >/dev/null 2>&1; then
                setsid /bin/sh -c 'eval "$1"' airlock "$text" run "$@" </dev/null >/dev/null 2>&1 &
            else
                (trap '' HUP; exec /bin/sh -c 'eval "$1"' airlock "$text" run "$@") \
                    </dev/null >/dev/null 2>&1 &
            fi
            echo started
            return 0
        fi
        break
    done
    if [ -d "$dir" ]; then echo already; else echo lost; return 1; fi
}

# Ends the command of $dir, unless it has ended.
kill_one() {
    [ -e "$dir/rc" ] && return 0
    pid=
    { : >"$dir/killed"; } 2>/dev/null
    { read -r pid <"$dir/pid"; } 2>/dev/null
    case $pid in '' | *[!0-9]* | 0 | 1) return 0 ;; esac
    stop_tree TERM
    for _ in 1 2 3 4 5; do
        [ -e "$dir/rc" ] && return 0
        nap 0.1
    done
    stop_tree KILL
}

case $action in
launch)
    shift
    launch "$@" && await_end
    rm -f "$dir".job.*
    ;;
run) run "$@" ;;
kill) kill_one ;;
end)
    base=$dir
    for job in "$base"/*.job.*; do
        [ -e "$job" ] || continue
        mkdir "${job%.job.*}" 2>/dev/null
        rm -f "$job"
    done
    for dir in "$base"/*/; do
        dir=${dir%/}
        [ -d "$dir" ] && kill_one
    done
    ;;
esac
