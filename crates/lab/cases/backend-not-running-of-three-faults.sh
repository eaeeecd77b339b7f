# about: three backends of one site fail, each in its own way; the one that is stopped hurts most
# expect: backend-not-running
# forbid: backend-hung, wrong-upstream-port
# peer: 127.0.0.1:8341
# status: 502, 504
LOG=timing
setup() {
  serve orders 127.0.0.1:8341
  serve files /srv/files.sock
  serve reports 127.0.0.1:8343
  listening 127.0.0.1:8341
  listening /srv/files.sock
  listening 127.0.0.1:8343
  chmod 666 /srv/files.sock
  vhost depot <<'CONF'
server {
    listen 80;
    server_name depot.example.org;
    location / { proxy_pass http://127.0.0.1:8341; }
    location /files/ { proxy_pass http://unix:/srv/files.sock:/; }
    location /wait/ { proxy_read_timeout 1s; proxy_pass http://127.0.0.1:8343; }
}
CONF
  start_nginx
  get / 4
  get /files/ 2
  get /wait/0 2
}
fault() { systemctl stop orders; chmod 600 /srv/files.sock; }
drive() { get / 12; get /files/ 4; get /wait/2 2; get /wait/0.1 2; }
