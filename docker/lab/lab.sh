#!/bin/sh
# The lab: rewatch between a real IMS core and a real presence server, with phones
# that watch bob. Everything listens on 127.0.0.0/8 and keeps its files in one
# directory. Run it without arguments to see the usage.
set -eu

usage() {
	cat <<'USAGE'
docker/lab/lab.sh up                   start core, presence server, rewatch, Alertmanager, phones
                  down                 stop all of it
                  status               what runs, who is registered, who is subscribed, what is broken
                  break [WHAT] [USER]  break the NOTIFYs to USER (default: alice; "all": everybody)
                                       WHAT: responses (the default: they are lost), silent (so are the NOTIFYs),
                                       480, "503;2" (Retry-After), any other code;
                                       tunnel: the phone has no network, nothing reaches it and nothing comes from it
                  break core           an outage: the core receives and sends nothing
                  heal [USER]          mend what is broken (default: everything)
                  publish [WORDS]      bob's presence changes, so every watcher gets a NOTIFY
                  phones               restart the phones: they register and subscribe again
                  watch                follow the log of rewatch

Environment: LAB_RUN     directory for files and pids   (docker/lab/run)
             LAB_NET     first three bytes of the addresses (127.0.0); "up" notes it for the other commands
             REWATCH_*   anything but addresses is passed on to rewatch
USAGE
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
run=${LAB_RUN:-$here/run}
# Kamailio's control socket is in this directory, and the path of a socket has at most 108 bytes.
if [ ${#run} -gt 90 ]; then
	run=${TMPDIR:-/tmp}/rewatch-lab-$(id -u)
fi

# A lab that runs has written its network down.
net=$(cat "$run/net" 2>/dev/null || echo "${LAB_NET:-127.0.0}")

core=$net.20
as=$net.30
as_server=$net.31
server=$net.40
publisher=$net.49
alertmanager=$net.60
admin=$as:9090

watchers="alice:$net.50 carol:$net.51 dave:$net.52"

# birth is the start time of a process. A pid may be used again; a pid with its start time
# is not. A zombie has none.
birth() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

alive() {
	[ -f "$run/$1.pid" ] || return 1
	read -r pid born <"$run/$1.pid" || return 1
	[ -n "$born" ] && [ "$(birth "$pid")" = "$born" ]
}

# start NAME COMMAND... runs a command in the background, under a name.
start() {
	name=$1
	shift
	if alive "$name"; then return; fi
	nohup "$@" >"$run/$name.log" 2>&1 </dev/null &
	echo "$! $(birth $!)" >"$run/$name.pid"
}

# stop NAME ends what start has started, and waits until it is gone.
stop() {
	if alive "$1"; then
		read -r pid born <"$run/$1.pid"
		kill "$pid" 2>/dev/null || true
		tries=0
		while alive "$1" && [ $tries -lt 150 ]; do
			sleep 0.1
			tries=$((tries + 1))
		done
		if alive "$1"; then kill -9 "$pid" 2>/dev/null || true; fi
	fi
	rm -f "$run/$1.pid"
}

# wait_for WHAT COMMAND... gives a command ten seconds to succeed.
wait_for() {
	what=$1
	shift
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		if [ $tries -gt 100 ]; then
			echo "lab: $what does not start; see the logs in $run" >&2
			exit 1
		fi
		sleep 0.1
	done
}

core_ctl() { kamcmd -s "unix:$run/core.ctl" "$@"; }
server_ctl() { kamcmd -s "unix:$run/presence.ctl" "$@"; }
db() { sqlite3 -readonly -cmd '.timeout 1000' "$run/presence.db" "$1"; }
fetch() { curl -fsS --max-time 2 "$1"; }

need_lab() {
	if ! alive core; then
		echo "lab: nothing runs here; start it with: make lab" >&2
		exit 1
	fi
}

write_configuration() {
	cat >"$run/core.cfg" <<CFG
#!KAMAILIO
#!substdef "!CORE_IP!$core!g"
#!substdef "!AS_IP!$as!g"
#!substdef "!AS_PORT!5060!g"
#!substdef "!RUN_DIR!$run!g"
include_file "$here/kamailio-core.cfg"
CFG
	cat >"$run/presence.cfg" <<CFG
#!KAMAILIO
#!substdef "!SERVER_IP!$server!g"
#!substdef "!RUN_DIR!$run!g"
include_file "$here/kamailio-presence.cfg"
CFG
	cat >"$run/alertmanager.yml" <<CFG
route: {receiver: none, group_wait: 1s, group_interval: 5s, repeat_interval: 1h}
receivers: [{name: none}]
CFG
	# With a write-ahead log readers of the table do not block the server. The mode is
	# stored in the file.
	rm -f "$run"/presence.db*
	sqlite3 "$run/presence.db" 'pragma journal_mode=wal' >/dev/null
	for part in standard presence; do
		sqlite3 "$run/presence.db" <"/usr/share/kamailio/db_sqlite/$part-create.sql"
	done
}

# sipp_once HOST ARGUMENTS... plays one call.
sipp_once() {
	to=$1
	shift
	sipp "$to:5060" -m 1 -nostdin -timeout 5s "$@" >"$run/sipp.log" 2>&1
}

# publish sends bob's presence to the core, and while the core is out to rewatch itself.
publish() {
	by=$core
	if core_out; then by=$as; fi
	basic=open
	if [ $(($(date +%s) % 2)) -eq 0 ]; then basic=closed; fi
	sipp_once "$by" -sf "$here/sipp/publish.xml" -i "$publisher" -p 5060 \
		-key user bob -key basic "$basic" -key note "${1:-it is $(date +%T)}"
}

# kamcmd exits with 0 also where there is no such key.
core_out() { core_ctl htable.get switch out 2>/dev/null | grep -q 'value:'; }

# address USER prints the address of a user's phone.
address() {
	for watcher in $watchers; do
		if [ "${watcher%%:*}" = "$1" ]; then echo "${watcher#*:}"; fi
	done
}

start_phones() {
	for watcher in $watchers; do
		user=${watcher%%:*}
		ip=${watcher#*:}
		stop "phone-$user"
		# SIPp must not end the call upon an unexpected message: the 200 to SUBSCRIBE
		# and the first NOTIFY come in either order.
		start "phone-$user" sipp "$core:5060" -nostdin -m 1 \
			-sf "$here/sipp/phone.xml" -oocsf "$here/sipp/phone-message.xml" \
			-default_behaviors all,-bye,-abortunexp -i "$ip" -p 5060 \
			-key user "$user" -key buddy bob \
			-trace_msg -message_file "$run/phone-$user.sip" -message_overwrite true
	done
}

up() {
	for tool in kamailio kamcmd sipp sqlite3 curl; do
		if ! command -v "$tool" >/dev/null; then
			echo "lab: $tool is missing; docker/lab/install.sh installs it" >&2
			exit 1
		fi
	done
	if alive core; then
		echo "lab: runs already"
		status
		return
	fi
	rewatch=${LAB_REWATCH:-$root/bin/rewatch}
	if [ ! -x "$rewatch" ]; then
		(cd "$root" && go build -o bin/rewatch ./cmd/rewatch)
	fi
	mkdir -p "$run"
	echo "$net" >"$run/net"
	# If anything fails from here on, everything is stopped again.
	trap down EXIT
	trap 'exit 130' INT TERM
	write_configuration

	start core kamailio -DD -E -m 32 -M 4 -f "$run/core.cfg" -w "$run" -Y "$run"
	start presence kamailio -DD -E -m 32 -M 4 -f "$run/presence.cfg" -w "$run" -Y "$run"
	sink=
	if command -v prometheus-alertmanager >/dev/null; then
		start alertmanager prometheus-alertmanager --config.file="$run/alertmanager.yml" \
			--storage.path="$run/alertmanager" --web.listen-address="$alertmanager:9093" \
			--cluster.listen-address=
		sink=http://$alertmanager:9093
	fi
	wait_for "the core" core_ctl core.uptime
	wait_for "the presence server" server_ctl core.uptime
	if [ -n "$sink" ]; then wait_for Alertmanager fetch "$sink/-/ready"; fi

	rm -f "$run/redelivers"
	if [ -n "${REWATCH_REDELIVER:-}" ]; then : >"$run/redelivers"; fi
	# Short times, so that one does not wait long to see something.
	start rewatch env \
		REWATCH_NOTIFY_TIMEOUT="${REWATCH_NOTIFY_TIMEOUT:-4s}" \
		REWATCH_RESUBSCRIBE_TIMEOUT="${REWATCH_RESUBSCRIBE_TIMEOUT:-10s}" \
		REWATCH_LOG_FORMAT="${REWATCH_LOG_FORMAT:-console}" \
		REWATCH_SERVER="sip:$server:5070;transport=udp" \
		REWATCH_CORE="sip:$core:5060;transport=udp" \
		REWATCH_LISTEN="udp://$as:5060,tcp://$as:5060" \
		REWATCH_SERVER_LISTEN="udp://$as_server:5062,tcp://$as_server:5062" \
		REWATCH_ADMIN_LISTEN="$admin" \
		REWATCH_ALARM_ALERTMANAGER="$sink" \
		"$rewatch"
	wait_for rewatch fetch "http://$admin/readyz"

	publish "at home"
	start_phones
	trap - EXIT INT TERM
	cat <<TEXT

The lab is up: phones (SIPp) - core (Kamailio $core) - rewatch ($as | $as_server) - presence server (Kamailio $server)
alice, carol and dave watch bob.

  console        http://$admin/
  metrics        http://$admin/metrics
  API            http://$admin/api/v1/recoveries
${sink:+  Alertmanager   $sink/
}  logs and SIP   $run/rewatch.log, $run/phone-alice.sip

  make lab-break                        the responses of alice's phone to NOTIFY are lost from now on;
                                        leave it so, and after three MESSAGEs alice is signed out
  make lab-heal                         mend it: the next NOTIFY gets through, which completes the recovery
  make lab-break WHAT=480 WHO=carol     carol's NOTIFYs are answered 480
  make lab-break WHAT=silent WHO=all    no NOTIFY gets an answer: nobody is signed out for it
  make lab-break WHAT=core              an outage: the core receives and sends nothing
  make lab-break WHAT=tunnel            alice's phone has no network until the next make lab-heal;
                                        for redelivery start the lab with: REWATCH_REDELIVER=10m make lab
  docker/lab/lab.sh status              who is registered and subscribed, and what is broken
  docker/lab/lab.sh phones              users who were signed out come back
  docker/lab/lab.sh watch               follow the log of rewatch
  make lab-down                         stop everything
TEXT
}

down() {
	for watcher in $watchers; do stop "phone-${watcher%%:*}"; done
	for name in rewatch presence core alertmanager; do stop "$name"; done
	rm -f "$run/net"
}

status() {
	for name in core presence rewatch alertmanager; do
		if alive "$name"; then state=runs; else state="does not run"; fi
		printf '%-14s %s\n' "$name" "$state"
	done
	for watcher in $watchers; do
		name=phone-${watcher%%:*}
		if alive "$name"; then state=runs; else state="does not run"; fi
		printf '%-14s %s\n' "$name" "$state"
	done
	alive core || return 0
	echo
	echo "registered at the core:"
	core_ctl ul.dump | sed -n 's/.*Address: /  /p'
	echo "subscriptions at the presence server:"
	db "select '  ' || watcher_username || ' watches ' || presentity_uri || '  ' || callid from active_watchers"
	if core_out; then echo "the core is out"; fi
	echo "faults:"
	core_ctl htable.dump fault | sed -n 's/.*name: \(.*\)/  \1/p; s/.*value: \(.*\)/    \1/p'
	if alive rewatch; then
		echo "rewatch:"
		fetch "http://$admin/metrics" |
			grep -E '^rewatch_(notify_total|messages_total|recoveries_total|deregistrations_total|alarms_active|subscriptions|registrations|redeliver_kept|redelivered_total)' |
			sed '/ 0$/d; s/^/  /' || true
	fi
}

break_it() {
	need_lab
	what=${1:-lose-response}
	user=${2:-alice}
	case $what in
	# A user alone: "break carol".
	alice | carol | dave | all)
		user=$what
		what=lose-response
		;;
	esac
	case $what in
	core)
		core_ctl htable.sets switch out s:1 >/dev/null
		echo "lab: the core is out. bob's presence changes now, and again in every \"lab.sh publish\"."
		publish
		return
		;;
	# Without "s:" kamcmd would store a number.
	[3-6][0-9][0-9]) value=s:$what ;;
	responses | lose-response)
		what=lose-response
		value=$what
		;;
	silent | tunnel | [3-6][0-9][0-9]\;*) value=$what ;;
	*)
		echo "lab: break $what? core, responses, silent, tunnel, a code 300-699, or \"503;2\"" >&2
		exit 2
		;;
	esac
	core_ctl htable.sets fault "$user" "$value" >/dev/null
	if [ "$what" = tunnel ] && [ ! -f "$run/redelivers" ]; then
		echo "lab: redelivery is off, so rewatch sends a MESSAGE; to see redelivery: REWATCH_REDELIVER=10m make lab"
	fi
	echo "lab: NOTIFYs to $user: $what. bob's presence changes now."
	publish
}

heal() {
	need_lab
	if [ -z "${1:-}" ] && core_out; then
		core_ctl htable.delete switch out >/dev/null
		echo "lab: the core is back"
	fi
	for user in ${1:-$(core_ctl htable.dump fault | sed -n 's/.*name: //p')}; do
		fault=$(core_ctl htable.get fault "$user" 2>/dev/null | sed -n 's/.*value: //p')
		core_ctl htable.delete fault "$user" >/dev/null
		echo "lab: NOTIFYs to $user get through again"
		# A phone that has a network again registers.
		if [ "$fault" = tunnel ] && [ -n "$(address "$user")" ]; then
			sipp_once "$core" -sf "$here/sipp/return.xml" -i "$(address "$user")" -p 5061 -key user "$user"
		fi
	done
	publish
}

case ${1:-} in
up) up ;;
down)
	down
	echo "lab: everything is stopped; logs are left in $run"
	;;
status) status ;;
break)
	shift
	break_it "$@"
	;;
heal)
	shift
	heal "$@"
	;;
publish)
	need_lab
	shift
	publish "$*"
	;;
phones)
	need_lab
	start_phones
	;;
watch)
	need_lab
	exec tail -n 50 -f "$run/rewatch.log"
	;;
*)
	usage
	exit 2
	;;
esac
