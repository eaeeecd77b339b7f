# about: somebody put the backend's address into a blackhole route: connect() fails with EINVAL
# expect: no-route-to-upstream
# forbid: upstream-blackholed, upstream-returned-error, firewall-drop
# peer: 10.60.0.2:8681
# status: 502
# log: 22: Invalid argument\) while connecting to upstream
setup() {
  neighbour
  uwsgi brewery '--socket 10.60.0.2:8681' '--processes 2' "$NEXT_DOOR"
  listening 10.60.0.2:8681
  vhost brewery <<'CONF'
server {
    listen 80 default_server;
    location / { include uwsgi_params; uwsgi_pass 10.60.0.2:8681; }
}
CONF
  start_nginx
  get / 3
}
fault() { ip route add blackhole 10.60.0.2/32; }
drive() { get / 4; }
