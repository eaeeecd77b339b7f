# The first process of a throw-away host, in new namespaces: builds its root from an overlay over this machine's own
# files (everything written goes to memory, mounts are seen by nobody else), enters it, and becomes systemd.
set -e
read -r outer_pid _ < /proc/self/stat # /proc is still the machine's: this is our PID as seen from outside

controllers=$(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/mounts)
mount -t tmpfs -o size=2g,mode=755 lab /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work lab /mnt/root
cd /mnt/root

# Nothing starts here unless a case starts it. nginx and PHP-FPM stay enabled, as on a host that serves with them.
for link in etc/systemd/system/*.wants/*; do
  case $link in
    */multi-user.target.wants/nginx.service | */multi-user.target.wants/php*-fpm.service) ;;
    *) rm -f "$link" ;;
  esac
done
# These would reach the machine's kernel, which is not ours to set up.
for unit in systemd-sysctl.service systemd-modules-load.service systemd-remount-fs.service systemd-udevd.service \
  sys-kernel-{debug,tracing,config}.mount sys-fs-fuse-connections.mount dev-hugepages.mount; do
  ln -sf /dev/null "etc/systemd/system/$unit"
done
printf '[Unit]\nDescription=Throw-away host\nRequires=basic.target dbus.socket\nAfter=basic.target dbus.socket\n' > etc/systemd/system/lab.target

rm -rf etc/fstab etc/crypttab etc/hostname etc/hosts etc/resolv.conf etc/nginx/sites-enabled etc/nginx/conf.d etc/php/*/fpm/pool.d/* var/log/* srv/* lab
# The kernel's ring is the machine's: in a new journal its old messages would look as if they were new.
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\nReadKMsg=no\n' > etc/systemd/journald.conf.d/lab.conf
echo lab > etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost ip6-localhost\n' > etc/hosts
echo 'nameserver 127.0.0.1' > etc/resolv.conf
mkdir -p lab etc/nginx/sites-enabled etc/nginx/conf.d var/log/journal
install -d -o www-data -g adm var/log/nginx

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm
for node in null zero full random urandom tty kmsg; do
  [ -e "/dev/$node" ] || continue
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
for folder in dev/shm tmp; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock run/php

# The cgroup hierarchies as the machine has them, mounted anew: a mount made inside the cgroup namespace shows ours only.
while read -r target kind options; do
  case $kind:$target in
    cgroup2:/sys/fs/cgroup) mount -t cgroup2 cgroup2 sys/fs/cgroup ;;
    *)
      mountpoint -q sys/fs/cgroup || mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
      mkdir -p ".$target"
      wanted=$(tr ',' '\n' <<< "$options" | grep -vE '^(rw|ro|nosuid|nodev|noexec|relatime|xattr|clone_children|nsdelegate|release_agent=.*)$' | paste -sd,)
      case $kind:$wanted in
        cgroup2:*) mount -t cgroup2 cgroup2 ".$target" ;;
        *:name=*) mount -t cgroup -o "none,$wanted" cgroup ".$target" ;;
        *) mount -t cgroup -o "$wanted" cgroup ".$target" ;;
      esac ;;
  esac
done <<< "$controllers"

hostname lab
ip link set lo up
mkdir .machine
pivot_root . .machine
umount -l /.machine
rmdir /.machine
echo "$outer_pid"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=lab \
  /lib/systemd/systemd --system --unit=lab.target --log-target=journal --show-status=0 > /dev/null
