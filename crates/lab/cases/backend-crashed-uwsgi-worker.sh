# about: a request makes the uWSGI worker run into a segmentation fault; its master starts another
# expect: backend-crashed
# forbid: backend-oom-killed, backend-aborts-request, backend-worker-timeout
# peer: unix:/run/gallery/uwsgi.sock
# status: 502
# log: upstream prematurely closed connection while reading response header
setup() {
  uwsgi gallery '--socket /run/gallery/uwsgi.sock' '--chmod-socket=660 --processes 2' RuntimeDirectory=gallery
  listening /run/gallery/uwsgi.sock
  vhost gallery <<'CONF'
upstream gallery { server unix:/run/gallery/uwsgi.sock; }
server {
    listen 80;
    server_name gallery.example.org;
    location / { include uwsgi_params; uwsgi_pass gallery; }
}
CONF
  start_nginx
  get / 4
}
drive() { get /segfault 3; get / 3; }
