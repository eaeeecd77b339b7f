# about: one of two servers is down; nginx tries the other one and no client sees a failure
# expect: healthy
# status: 200
LOG=timing
setup() {
  gunicorn blog-a 127.0.0.1:8381 '--workers 2'
  gunicorn blog-b 127.0.0.1:8382 '--workers 2'
  listening 127.0.0.1:8381
  listening 127.0.0.1:8382
  echo 'upstream blog { server 127.0.0.1:8381; server 127.0.0.1:8382; }' | vhost group
  proxy_to blog http://blog
  start_nginx
  get / 6
}
fault() { systemctl stop blog-b; }
drive() { get / 20; all_answered; logged '111: Connection refused.*127.0.0.1:8382'; }
