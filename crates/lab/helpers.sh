# What the cases are written with. Sourced inside a throw-away host, before the case, in every phase; a phase runs under
# `set -e`. A case may set at its top:  BASE  where requests go to   MAX  seconds that curl waits for one of them.
BASE=http://127.0.0.1
MAX=10

# --- nginx -----------------------------------------------------------------------------------------------------------

# nginx_conf: writes /etc/nginx/nginx.conf. In the environment: LOG (combined, json, timing or off), LEVEL of the error
# log, WORKERS, and MAIN, EVENTS, HTTP: further lines for those blocks.
nginx_conf() {
  local access
  case ${LOG:-combined} in
    off) access='access_log off;' ;;
    combined) access='access_log /var/log/nginx/access.log;' ;;
    *) access="access_log /var/log/nginx/access.log ${LOG};" ;;
  esac
  cat > /etc/nginx/nginx.conf <<CONF
user www-data;
worker_processes ${WORKERS:-2};
pid /run/nginx.pid;
error_log ${ERROR_LOG:-/var/log/nginx/error.log} ${LEVEL:-error};
${MAIN}
events {
    worker_connections 512;
    ${EVENTS}
}
http {
    default_type text/html;
    log_format timing '\$remote_addr [\$time_iso8601] \$host "\$request" \$status \$body_bytes_sent '
                      '\$request_time \$upstream_addr \$upstream_status \$upstream_connect_time \$upstream_response_time \$connection';
    log_format json escape=json '{"time":"\$time_iso8601","host":"\$host","request":"\$request","status":\$status,'
                    '"bytes":\$body_bytes_sent,"seconds":\$request_time,"agent":"\$http_user_agent",'
                    '"upstream":{"addr":"\$upstream_addr","status":"\$upstream_status","seconds":"\$upstream_response_time"}}';
    ${access}
    ${HTTP}
    include conf.d/*.conf;
    include sites-enabled/*;
}
CONF
}
# vhost NAME < 'server { … }' (or anything else of the http block): a file of its own in conf.d.
vhost() { cat > "/etc/nginx/conf.d/$1.conf"; }
# proxy_to NAME URL [DIRECTIVES]: the default site, which passes everything to URL.
proxy_to() {
  vhost "$1" <<CONF
server {
    listen 80 default_server;
    listen [::]:80 default_server;
    server_name $1.example.org;

    location / {
        proxy_set_header Host \$host;
        proxy_pass $2;
        ${3}
    }
}
CONF
}
# php_to NAME ADDRESS [DIRECTIVES]: a PHP site below /srv/NAME; /wait.php?s=N takes N seconds, index.php none.
php_to() {
  mkdir -p "/srv/$1"
  echo '<?php echo "welcome\n";' > "/srv/$1/index.php"
  echo '<?php usleep((int)(1e6 * (float)$_GET["s"])); echo "done\n";' > "/srv/$1/wait.php"
  vhost "$1" <<CONF
server {
    listen 80;
    server_name $1.example.org;
    root /srv/$1;
    index index.php;

    location ~ [^/]\.php(/|\$) {
        fastcgi_param SCRIPT_FILENAME \$document_root\$fastcgi_script_name;
        include fastcgi_params;
        fastcgi_pass $2;
        ${3}
    }
}
CONF
}
# static_site NAME: a site that needs no backend; asked for with: get / 3 -H 'Host: NAME.example.org'
static_site() {
  mkdir -p "/srv/$1"
  echo "<h1>$1</h1>" > "/srv/$1/index.html"
  printf 'server {\n  listen 80;\n  server_name %s.example.org;\n  root /srv/%s;\n}\n' "$1" "$1" | vhost "$1"
}
start_nginx() {
  [ -e /lab/nginx.conf ] || { nginx_conf; touch /lab/nginx.conf; }
  systemctl start nginx
  listening "${BASE#http://}"
}
reload_nginx() { nginx -tq && systemctl reload nginx && sleep 0.3; }

# --- backends --------------------------------------------------------------------------------------------------------

# daemon NAME 'COMMAND' ['LINE of the Service section']…: a real unit, enabled and started.
daemon() {
  local name=$1 command=$2
  shift 2
  {
    printf '[Unit]\nDescription=The %s application\n\n[Service]\nExecStart=%s\n' "$name" "$command"
    printf '%s\n' "$@"
    printf '\n[Install]\nWantedBy=multi-user.target\n'
  } > "/etc/systemd/system/$name.service"
  systemctl daemon-reload
  systemctl enable -q "$name"
  systemctl start "$name"
}
# Each of these: NAME ADDRESS [ARGUMENTS] ['LINE of the Service section']…; the backends' files say what their paths do.
serve() { local n=$1 a=$2 x=${3-}; shift; shift; shift || true; daemon "$n" "/usr/bin/python3 /lab/backends/serve.py $x $a" "$@"; }
node() { local n=$1 a=$2 x=${3-}; shift; shift; shift || true; daemon "$n" "/usr/bin/node $x /lab/backends/api.js $a" User=www-data "$@"; }
gunicorn() { local n=$1 a=$2 x=${3-}; shift; shift; shift || true; daemon "$n" "/usr/bin/gunicorn --pythonpath /lab/backends -b $a $x wsgi:application" User=www-data Group=www-data "$@"; }
uwsgi() { local n=$1 a=$2 x=${3-}; shift; shift; shift || true; daemon "$n" "/usr/bin/uwsgi --plugin python3 --master --die-on-term --wsgi-file /lab/backends/wsgi.py $a $x" User=www-data Group=www-data KillSignal=SIGTERM "$@"; }
# pool NAME LISTEN 'KEY = VALUE'…: a PHP-FPM pool. php: starts the master.
pool() {
  local name=$1 address=$2
  shift 2
  {
    printf '[%s]\nuser = www-data\ngroup = www-data\nlisten = %s\nlisten.owner = www-data\nlisten.group = www-data\n' "$name" "$address"
    printf '%s\n' "$@"
  } > "/etc/php/8.2/fpm/pool.d/$name.conf"
}
php() { systemctl start php8.2-fpm; }
# other_nginx NAME < 'what stands in http { }': a second nginx with files of its own, as a unit; IN_NETNS puts it there.
other_nginx() {
  mkdir -p "/srv/$1/logs" "/srv/$1/temp"
  {
    printf 'user www-data;\nworker_processes 1;\npid /run/%s.pid;\nerror_log logs/error.log;\nevents {}\nhttp {\n' "$1"
    printf 'access_log logs/access.log;\n'
    for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path temp/%s;\n' "$kind" "$kind"; done
    cat
    printf '}\n'
  } > "/srv/$1/$1.conf"
  daemon "$1" "/usr/sbin/nginx -p /srv/$1/ -c $1.conf -g 'daemon off;'" ${IN_NETNS:+"NetworkNamespacePath=$IN_NETNS"}
}
# names 'DNSMASQ LINE'…: a name server on 127.0.0.1 that knows these, and nothing else.
names() {
  printf '%s\n' no-resolv no-hosts listen-address=127.0.0.1 bind-interfaces "$@" > /etc/lab-names.conf
  daemon names '/usr/sbin/dnsmasq --keep-in-foreground --user=nobody --conf-file=/etc/lab-names.conf'
  listening 127.0.0.1:53
}
# listening HOST:PORT, [IPV6]:PORT, HOST or /PATH: waits until somebody accepts there.
listening() {
  local host=${1%:*} port=${1##*:} i
  case $1 in *]) host=$1 port=80 ;; *:*) ;; *) port=80 ;; esac
  host=${host#[} host=${host%]}
  for i in $(seq 200); do
    case $1 in
      /*) [ -S "$1" ] && return ;;
      *) (exec 3<> "/dev/tcp/$host/$port") 2> /dev/null && return ;;
    esac
    sleep 0.03
  done
  broken "nobody listens on $1: $(systemctl --failed --no-legend; journalctl -o cat -n 5)"
}

# --- requests --------------------------------------------------------------------------------------------------------

# ask URL [CURL ARGUMENTS]…: one request, its status goes to /lab/statuses.
ask() { curl -sk -o /dev/null -m "$MAX" -w '%{http_code}\n' "$@" >> /lab/statuses || true; }
# get PATH [COUNT] [CURL ARGUMENTS]…: requests one after another.
get() { local path=$1 count=${2:-1} i; shift; shift || true; for ((i = 0; i < count; i++)); do ask "$BASE$path" "$@"; done; }
# together PATH COUNT [CURL ARGUMENTS]…: the same, all at once.
together() { local path=$1 count=$2 i; shift 2; for ((i = 0; i < count; i++)); do ask "$BASE$path" "$@" & done; wait; }
# hold PATH COUNT [CURL ARGUMENTS]…: requests that still wait while the program looks; their status is not counted.
hold() { local path=$1 count=$2 i; shift 2; for ((i = 0; i < count; i++)); do setsid curl -sk -o /dev/null -m 60 "$@" "$BASE$path" < /dev/null > /dev/null 2>&1 & done; }
# served PATH [CURL ARGUMENTS]…: for check(): within five seconds the request is answered with 2xx.
served() {
  local path=$1 i status; shift
  for i in $(seq 20); do
    status=$(curl -sk -o /dev/null -m 5 -w '%{http_code}' "$BASE$path" "$@" || true)
    case $status in 2*) return ;; esac
    sleep 0.25
  done
  broken "$path is still answered with $status"
}

# --- proofs ----------------------------------------------------------------------------------------------------------

broken() { echo "$*" >&2; return 1; }
all_logs() { find /var/log /srv -type f \( -name '*.log' -o -name '*.err' \) -exec cat {} + ; journalctl -o cat --no-pager; }
# logged 'EXPRESSION': some log shows it, within two seconds; prints the first such line.
logged() { local i; for i in $(seq 20); do all_logs | grep -aEm1 -- "$1" && return; sleep 0.1; done; broken "not logged: $1; but: $(all_logs | tail -n 6)"; }
# all_answered: every request so far got a status below 500.
all_answered() { ! grep -vE '^[1-4]' /lab/statuses || broken "not all requests were answered"; }
# age_logs DAYS: what nginx has logged so far happened that many days ago.
age_logs() { /usr/bin/python3 /lab/backends/age_logs.py "$1" /var/log/nginx/*.log; }

# --- the network -----------------------------------------------------------------------------------------------------

# neighbour: a second machine, 10.60.0.2 on the same wire; this host is 10.60.0.1. Its files and PIDs are this host's.
# there COMMAND…: runs on it. NEXT_DOOR: the line that puts a daemon there.
NEXT_DOOR=NetworkNamespacePath=/run/netns/next
neighbour() {
  mkdir -p /run/netns
  ip netns add next
  ip link add wire0 type veth peer name wire1 netns next
  ip addr add 10.60.0.1/24 dev wire0
  ip link set wire0 up
  there ip addr add 10.60.0.2/24 dev wire1
  there ip link set wire1 up
  there ip link set lo up
}
there() { ip netns exec next "$@"; }
# certificate NAME: /srv/tls/NAME.pem, self-signed, with its key.
certificate() {
  mkdir -p /srv/tls
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 20 -subj "/CN=$1" -addext "subjectAltName=DNS:$1" \
    -keyout "/srv/tls/$1.key" -out "/srv/tls/$1.crt" 2> /dev/null
  cat "/srv/tls/$1.crt" "/srv/tls/$1.key" > "/srv/tls/$1.pem"
}

# --- what this kernel lacks --------------------------------------------------------------------------------------------

# refuse_call UNIT CALL: from now on that system call of the unit ends with "permission denied", as with a security module.
refuse_call() {
  mkdir -p "/run/systemd/system/$1.service.d"
  printf '[Service]\nSystemCallFilter=~%s\nSystemCallErrorNumber=EACCES\n' "$2" > "/run/systemd/system/$1.service.d/refused.conf"
  systemctl daemon-reload
  systemctl restart "$1"
}
# audit_log < RECORDS: auditd's log.
audit_log() { install -d -m 700 /var/log/audit; cat >> /var/log/audit/audit.log; chmod 600 /var/log/audit/audit.log; }

# --- containers --------------------------------------------------------------------------------------------------------

# container NAME ADDRESS 'SCRIPT': what a container engine makes: a network of its own on 172.30.0.0/16 (this host is 172.30.0.1
# there), PIDs and mounts of its own, no systemd, the engine's cgroup; SCRIPT is its first process. Its files are this host's,
# but for /run, /tmp and /var/log.
container() {
  local name=$1 address=$2 script=$3 id group mount
  id=$(sha256sum <<< "$name" | cut -c1-64)
  mkdir -p /run/netns
  ip link show bridge0 > /dev/null 2>&1 || { ip link add bridge0 type bridge; ip addr add 172.30.0.1/16 dev bridge0; ip link set bridge0 up; }
  ip netns add "$name"
  ip link add "to-$name" type veth peer name eth0 netns "$name"
  ip link set "to-$name" master bridge0 up
  ip netns exec "$name" sh -c "ip addr add $address/16 dev eth0; ip link set eth0 up; ip link set lo up; ip route add default via 172.30.0.1"
  {
    for mount in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
      group=$mount/docker/$id
      mkdir -p "$group"
      [ ! -e "$group/cpuset.mems" ] || for part in cpus mems; do
        cat "$mount/cpuset.$part" > "$mount/docker/cpuset.$part"
        cat "$mount/cpuset.$part" > "$group/cpuset.$part"
      done
      echo "echo \$\$ > $group/cgroup.procs"
    done 2> /dev/null
    printf 'exec unshare --mount --pid --uts --ipc --fork --kill-child --mount-proc bash -c %q\n' "for folder in /run /tmp /var/log; do mount -t tmpfs tmpfs \$folder; done
      mkdir -p /var/log/nginx /run/php; hostname ${id:0:12}; $script"
  } > "/lab/container-$name.sh"
  # Its standard streams go to the engine, which keeps each line as JSON.
  mkdir -p "/var/lib/docker/containers/$id"
  setsid nsenter --net="/run/netns/$name" bash "/lab/container-$name.sh" < /dev/null \
    > >(engine_log stdout "$id") 2> >(engine_log stderr "$id") &
}
engine_log() {
  exec setsid /usr/bin/python3 -u -c 'import datetime, json, sys
for line in sys.stdin:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    print(json.dumps({"log": line, "stream": sys.argv[1], "time": now}), flush=True)' "$1" >> "/var/lib/docker/containers/$2/$2-json.log"
}
