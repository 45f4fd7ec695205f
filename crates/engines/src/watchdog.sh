# Stops an engine when the process that owns it is gone, however it went.
# The owner holds the other end of standard input: it writes "done" when there is nothing left to
# stop, and the system closes it when the owner dies.
# It is started in the engine's working directory and stays there, so that it knows the engine's
# processes by it even when somebody has removed or renamed the directory.
# usage: sh watchdog.sh PIDFILE SIGNAL TENTHS REMOVE
# (signal to stop it, tenths of a second before it is killed, directory to remove or nothing)
pidfile=$1 signal=$2 tenths=$3 remove=$4

# The engine processes that work where we do.
engines() {
  if [ ! -d /proc/self ]; then
    read -r pid < "$pidfile" && kill -0 "$pid" && echo "$pid"
    return
  fi
  for process in /proc/[0-9]*; do
    [ "$process/cwd" -ef . ] || continue
    read -r name < "$process/comm" || continue
    case $name in postgres | redis-server | valkey-server) echo "${process#/proc/}" ;; esac
  done
}

{
  read -r word
  [ "$word" = done ] && exit 0

  for pid in $(engines); do kill -s CONT "$pid"; done
  if read -r leader < "$pidfile"; then
    case " $(engines | tr '\n' ' ') " in *" $leader "*) kill -s "$signal" "$leader" ;; esac
    while [ "$tenths" -gt 0 ] && [ -n "$(engines)" ]; do
      sleep 0.1
      tenths=$((tenths - 1))
    done
  fi
  # A fork may slip through one pass.
  for pass in 1 2 3; do
    [ -n "$(engines)" ] || break
    for pid in $(engines); do kill -s KILL "$pid"; done
    sleep 0.1
  done
  [ -z "$remove" ] || rm -rf -- "$remove"
} 2> /dev/null
