# about: all of uWSGI's processes were stopped with SIGSTOP for a look at them, and forgotten
# expect: backend-hung
# forbid: backend-slow, backend-not-running, worker-pool-exhausted
# peer: unix:/run/maps/maps.sock
# status: 504
# log: 110: Connection timed out\) while reading response header.*uwsgi://unix:/run/maps/maps.sock
setup() {
  uwsgi maps '--socket /run/maps/maps.sock' '--processes 3' RuntimeDirectory=maps
  listening /run/maps/maps.sock
  vhost maps <<'CONF'
server {
    listen 80;
    location / { include uwsgi_params; uwsgi_pass unix:/run/maps/maps.sock; uwsgi_read_timeout 1s; }
}
CONF
  start_nginx
  get / 3
}
fault() { systemctl kill --signal=STOP maps; }
drive() { get / 2; together / 3; }
