# about: LimitNOFILE of nginx.service is 34; some slow downloads hold all of them, and neither files nor backends open
# expect: nginx-fd-exhausted
# forbid: backend-fd-exhausted, nginx-worker-connections-exhausted
# status: 500
# log: 24: Too many open files
WORKERS=1
setup() {
  mkdir -p /etc/systemd/system/nginx.service.d
  printf '[Service]\nLimitNOFILE=34\n' > /etc/systemd/system/nginx.service.d/files.conf
  systemctl daemon-reload
  serve maps 127.0.0.1:8535
  listening 127.0.0.1:8535
  mkdir -p /srv/maps
  head -c 30000000 /dev/zero > /srv/maps/europe.bin
  vhost maps <<'CONF'
server {
    listen 80;
    server_name maps.example.org;
    root /srv/maps;
    location /route { proxy_pass http://127.0.0.1:8535; }
}
CONF
  start_nginx
  get /route 3
}
drive() { hold /europe.bin 12 --limit-rate 10k; sleep 0.7; MAX=2; get /europe.bin 4; get /route 4; }
