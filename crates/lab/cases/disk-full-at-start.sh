# about: the API cannot write its journal when it is restarted, since somebody's dump fills that filesystem
# expect: disk-full
# also: backend-start-failed
# forbid: backend-crashed, backend-not-running
# peer: 127.0.0.1:8521
# status: 502
# log: ENOSPC
setup() {
  mkdir -p /srv/journal
  mount -t tmpfs -o size=64k,mode=777 tmpfs /srv/journal
  echo 'require("fs").writeFileSync("/srv/journal/" + process.pid, "x".repeat(20000)); require("/lab/backends/api.js")' > /srv/payments.js
  daemon payments '/usr/bin/node /srv/payments.js 127.0.0.1:8521' User=www-data
  listening 127.0.0.1:8521
  proxy_to payments http://127.0.0.1:8521
  start_nginx
  get / 3
}
fault() {
  head -c 64000 /dev/zero > /srv/journal/dump || true
  systemctl restart payments
  sleep 0.5
}
drive() { get / 4; }
