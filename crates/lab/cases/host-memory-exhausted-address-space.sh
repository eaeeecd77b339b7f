# about: LimitAS of nginx.service is below a buffer that uploads ask for; the worker gets no memory and answers 500
# expect: host-memory-exhausted
# forbid: nginx-worker-crash, config-reload-failed
# status: 500
# log: 12: Cannot allocate memory
setup() {
  mkdir -p /etc/systemd/system/nginx.service.d
  printf '[Service]\nLimitAS=90M\n' > /etc/systemd/system/nginx.service.d/memory.conf
  systemctl daemon-reload
  serve clips 127.0.0.1:8532
  listening 127.0.0.1:8532
  proxy_to clips http://127.0.0.1:8532 'client_max_body_size 400m; client_body_buffer_size 200m;'
  start_nginx
  get / 3
  head -c 150000000 /dev/zero > /tmp/clip
}
drive() { get /clips 3 --data-binary @/tmp/clip; get / 3; }
