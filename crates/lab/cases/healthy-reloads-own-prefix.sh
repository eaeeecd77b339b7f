# about: an nginx with its own prefix on IPv6 is reloaded again and again under load, at log level info
# expect: healthy
# status: 200
BASE=http://[::1]:8090
setup() {
  node quotes '[::1]:3090'
  listening '[::1]:3090'
  other_nginx edge <<'CONF'
error_log logs/error.log info;
upstream quotes { server [::1]:3090; keepalive 8; }
server {
    listen [::]:8090;
    location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://quotes; }
}
CONF
  listening '[::1]:8090'
}
drive() {
  for _ in 1 2 3; do
    together /wait/0.2 6
    touch /srv/edge/edge.conf
    systemctl kill --kill-who=main --signal=HUP edge
    get / 5
  done
  all_answered
}
