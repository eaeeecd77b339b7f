# about: the filesystem for request bodies was remounted read-only; uploads get 500, all else works; asked without root
# expect: temp-path-permission
# forbid: disk-full
# status: 500
# log: 30: Read-only file system
# user: www-data
HTTP='client_body_temp_path /srv/spool/body;'
setup() {
  serve inbox 127.0.0.1:8581
  listening 127.0.0.1:8581
  mkdir -p /srv/spool
  mount -t tmpfs -o size=20m,mode=777 tmpfs /srv/spool
  proxy_to inbox http://127.0.0.1:8581
  start_nginx
  head -c 300000 /dev/zero > /tmp/letter
  get /letters 2 --data-binary @/tmp/letter
}
fault() { mount -o remount,ro /srv/spool; }
drive() { get /letters 3 --data-binary @/tmp/letter; get / 3; }
