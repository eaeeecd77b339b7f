# about: session files use up the inodes of the filesystem that client_body_temp_path is on; its space is free
# expect: disk-full
# forbid: temp-path-permission
# status: 500
# log: 28: No space left on device\)
LOG=json
HTTP='client_body_temp_path /srv/spool/body;'
setup() {
  mkdir -p /srv/spool
  mount -t tmpfs -o size=30m,nr_inodes=60,mode=777 tmpfs /srv/spool
  uwsgi archive '--socket 127.0.0.1:8520'
  listening 127.0.0.1:8520
  vhost archive <<'CONF'
server {
    listen 80;
    server_name archive.example.org;
    location / { include uwsgi_params; uwsgi_pass 127.0.0.1:8520; }
}
CONF
  start_nginx
  get / 3
}
fault() { for i in $(seq 100); do touch "/srv/spool/session-$i" 2> /dev/null || break; done; }
drive() { head -c 300000 /dev/zero > /tmp/scan; get /scans 4 --data-binary @/tmp/scan; get / 3; }
