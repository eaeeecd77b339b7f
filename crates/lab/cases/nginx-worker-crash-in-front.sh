# about: the workers of the nginx in front abort in the middle of requests; the one behind it sees clients that hang up
# expect: nginx-worker-crash
# forbid: host-memory-exhausted
# status: 000
# log: exited on signal 6
LOG=timing
setup() {
  pool garden /run/php/garden.sock 'pm = static' 'pm.max_children = 3'
  php
  php_to garden unix:/run/php/garden.sock
  start_nginx
  other_nginx edge <<'CONF'
server {
    listen 8080;
    location / { proxy_pass http://127.0.0.1:80; proxy_set_header Host garden.example.org; }
}
CONF
  listening 127.0.0.1:8080
  BASE=http://127.0.0.1:8080 get / 3
}
drive() {
  BASE=http://127.0.0.1:8080
  for _ in 1 2; do
    get '/wait.php?s=1' 1 &
    sleep 0.4
    kill -ABRT "$(pgrep -P "$(cat /run/edge.pid)")"
    wait
  done
  get / 2
}
