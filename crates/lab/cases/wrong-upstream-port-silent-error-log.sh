# about: a panel's defaults: the error log keeps critical things only, and the access log has no upstream fields
# expect: wrong-upstream-port
# forbid: upstream-returned-error
# peer: 127.0.0.1:8444
# status: 502
setup() {
  gunicorn grades 127.0.0.1:8445 '--workers 2'
  listening 127.0.0.1:8445
  mkdir -p /srv/grades
  echo plain > /srv/grades/read.txt
  LEVEL=crit nginx_conf
  touch /lab/nginx.conf
  vhost grades <<'CONF'
server {
    listen 80;
    server_name grades.example.org;
    root /srv/grades;
    location / { try_files $uri @application; }
    location @application { proxy_pass http://127.0.0.1:8444; }
}
CONF
  start_nginx
}
drive() { get /marks 6; get /read.txt 3; }
