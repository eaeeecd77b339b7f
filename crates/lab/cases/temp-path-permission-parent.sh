# about: somebody closed the folder above uwsgi_temp_path; pages that a slow client does not take at once break off
# expect: temp-path-permission
# forbid: disk-full, unix-socket-permission
# status: 200
# log: 13: Permission denied\) while reading upstream
setup() {
  echo 'def application(environ, start_response):
    size = 3 if environ["PATH_INFO"] == "/" else 16 << 20
    start_response("200 OK", [("Content-Length", str(size))])
    return [b"x" * size]' > /srv/atlas.py
  daemon atlas '/usr/bin/uwsgi --plugin python3 --master --die-on-term --socket 127.0.0.1:8580 --wsgi-file /srv/atlas.py' User=www-data KillSignal=SIGTERM
  listening 127.0.0.1:8580
  mkdir -p /srv/scratch
  vhost atlas <<'CONF'
server {
    listen 80;
    server_name atlas.example.org;
    location / { include uwsgi_params; uwsgi_pass 127.0.0.1:8580; uwsgi_temp_path /srv/scratch/uwsgi 1 2; }
}
CONF
  start_nginx
  get / 3
}
fault() { chmod 700 /srv/scratch; }
drive() { MAX=3 get /sheet 3 --limit-rate 500k; get / 3; }
