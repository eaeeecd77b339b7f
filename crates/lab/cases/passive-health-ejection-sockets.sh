# about: two uWSGI behind unix sockets were down for a moment, and fail_timeout keeps both out for a minute
# expect: passive-health-ejection
# forbid: backend-not-running, backend-crashed, unix-socket-wrong-path
# status: 502
# log: no live upstreams
WORKERS=1
setup() {
  for name in east west; do
    mkdir -p "/run/$name"
    chown www-data "/run/$name"
    uwsgi "$name" "--socket /run/$name/app.sock"
    listening "/run/$name/app.sock"
  done
  vhost ferry <<'CONF'
upstream ferry {
    server unix:/run/east/app.sock fail_timeout=60s;
    server unix:/run/west/app.sock fail_timeout=60s;
}
server {
    listen 80;
    server_name ferry.example.org;
    location / { include uwsgi_params; uwsgi_pass ferry; }
}
CONF
  start_nginx
  get / 4
}
fault() { systemctl stop east west; }
drive() {
  get / 2
  systemctl start east west
  listening /run/east/app.sock
  listening /run/west/app.sock
  sleep 2.2
  get / 6
}
