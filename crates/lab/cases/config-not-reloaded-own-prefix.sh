# about: an nginx with a prefix and a file of its own, edited but not reloaded; the distribution's nginx is not running
# expect: config-not-reloaded
# forbid: wrong-upstream-port, backend-not-running, nginx-not-running
# peer: 127.0.0.1:8331
# status: 502
# log: 111: Connection refused.*127.0.0.1:8331
BASE=http://127.0.0.1:8080
setup() {
  serve tours 127.0.0.1:8331
  listening 127.0.0.1:8331
  other_nginx edge <<'CONF'
server {
    listen 8080;
    location / { proxy_pass http://127.0.0.1:8331; }
}
CONF
  listening 127.0.0.1:8080
  get / 4
  sleep 1.1
}
fault() {
  systemctl stop tours
  sed -i 's/8331/8332/' /etc/systemd/system/tours.service /srv/edge/edge.conf
  systemctl daemon-reload
  systemctl start tours
  listening 127.0.0.1:8332
}
drive() { get / 5; }
