# about: the second nginx keeps uploads in memory and has a small MemoryMax; the kernel kills its workers
# expect: host-memory-exhausted
# forbid: nginx-worker-crash, backend-oom-killed, backend-crashed
# status: 100, 000
# log: exited on signal 9
setup() {
  serve media 127.0.0.1:8530
  listening 127.0.0.1:8530
  proxy_to media http://127.0.0.1:8530
  start_nginx
  other_nginx edge <<'CONF'
client_max_body_size 400m;
client_body_buffer_size 300m;
server { listen 8080; server_name media.example.org; location / { proxy_pass http://127.0.0.1:8530; } }
CONF
  systemctl set-property --runtime edge MemoryMax=60M MemorySwapMax=0
  listening 127.0.0.1:8080
  head -c 120000000 /dev/zero > /tmp/film
  BASE=http://127.0.0.1:8080 get / 3
}
drive() { BASE=http://127.0.0.1:8080; get /films 2 --data-binary @/tmp/film; sleep 0.5; get / 3; }
