// Machines that are not at hand, as their /proc and /sys say them; and that an idle pool of threads rests.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../support/fake_tree.h"
#include "base/machine.h"
#include "base/parallel.h"

static void write_file(const char *path, const char *text)
{
    fake_tree_write(&tree, path, text);
}

// `cores` cores of two threads each: processor i and i + cores are siblings.
static void write_cores(int cores)
{
    char path[96], text[64];
    for (int i = 0; i < 2 * cores; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
        snprintf(text, sizeof text, "%d,%d\n", i % cores, i % cores + cores);
        write_file(path, text);
    }
    snprintf(text, sizeof text, "0-%d\n", 2 * cores - 1);
    write_file("/sys/devices/system/cpu/online", text);
}

static void allow(const char *list)
{
    char text[256];
    snprintf(text, sizeof text, "Name:\ttern\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\nMems_allowed_list:\t0\n",
             list);
    write_file("/proc/self/status", text);
}

static void hyperthreads_count_once(void **state)
{
    (void)state;
    write_cores(4);
    allow("0-7");
    struct machine_processors p = machine_processors(tree.root);
    assert_int_equal(p.allowed, 8);
    assert_int_equal(p.cores, 4);
    assert_int_equal(p.nodes, 1);
    assert_true(p.quota == 0);
    assert_int_equal(machine_threads(&p), 4);
}

static void the_affinity_mask_counts(void **state)
{
    (void)state;
    write_cores(4);
    allow("1,5,6");
    struct machine_processors p = machine_processors(tree.root);
    assert_int_equal(p.allowed, 3);
    assert_int_equal(p.cores, 2); // 1 and 5 are one core
    allow("0-1023");              // masks may name processors that are not there
    assert_int_equal(machine_processors(tree.root).allowed, 8);
    write_file("/proc/thread-self/status", "Cpus_allowed_list:\t2\n"); // the calling thread's comes first
    assert_int_equal(machine_processors(tree.root).allowed, 1);
}

static void nodes_are_those_of_allowed_processors(void **state)
{
    (void)state;
    write_cores(4);
    write_file("/sys/devices/system/node/online", "0-2\n");
    write_file("/sys/devices/system/node/node0/cpulist", "0-1,4-5\n");
    write_file("/sys/devices/system/node/node1/cpulist", "2-3,6-7\n");
    write_file("/sys/devices/system/node/node2/cpulist", "\n"); // memory alone
    allow("0-7");
    assert_int_equal(machine_processors(tree.root).nodes, 2);
    allow("2,6");
    struct machine_processors p = machine_processors(tree.root);
    assert_int_equal(p.nodes, 1);
    assert_int_equal(p.cores, 1);
}

// A quota of 2.5 processors pays for two threads that never wait for a third.
static void quotas_of_version_2(void **state)
{
    (void)state;
    write_cores(4);
    allow("0-7");
    write_file("/proc/self/cgroup", "0::/user/app\n");
    write_file("/sys/fs/cgroup/user/app/cpu.max", "max 100000\n");
    assert_true(machine_processors(tree.root).quota == 0);
    write_file("/sys/fs/cgroup/user/cpu.max", "250000 100000\n"); // of the group above
    struct machine_processors p = machine_processors(tree.root);
    assert_true(p.quota == 2.5);
    assert_int_equal(machine_threads(&p), 2);
    write_file("/sys/fs/cgroup/user/app/cpu.max", "50000 100000\n");
    p = machine_processors(tree.root);
    assert_true(p.quota == 0.5);
    assert_int_equal(machine_threads(&p), 1);
    write_file("/sys/fs/cgroup/user/app/cpu.max", "1600000 100000\n");
    write_file("/sys/fs/cgroup/user/cpu.max", "max 100000\n");
    p = machine_processors(tree.root);
    assert_int_equal(machine_threads(&p), 4); // more time than cores
}

// In a container the mount begins at its own group, whose path on the host is not there.
static void quotas_of_version_1_in_a_container(void **state)
{
    (void)state;
    write_cores(4);
    allow("0-7");
    write_file("/proc/self/cgroup", "9:name=systemd:/docker/1f\n5:cpuset:/docker/1f\n4:cpu,cpuacct:/docker/1f\n"
                                    "3:memory:/docker/1f\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(machine_processors(tree.root).quota == 0);
    write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
    assert_true(machine_processors(tree.root).quota == 3);
    write_file("/proc/self/cgroup", "4:cpu,cpuacct:/../outside\n");
    assert_true(machine_processors(tree.root).quota == 3);
}

static void write_meminfo(void)
{
    write_file("/proc/meminfo", "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    9000 kB\n");
}

static void memory_of_a_machine_without_limits(void **state)
{
    (void)state;
    struct machine_memory m = machine_memory(tree.root);
    assert_int_equal(m.total, 0);
    assert_int_equal(m.available, 0);
    write_meminfo();
    write_file("/proc/self/cgroup", "0::/\n");
    write_file("/sys/fs/cgroup/memory.max", "max\n");
    m = machine_memory(tree.root);
    assert_int_equal(m.total, 16000 * 1024);
    assert_int_equal(m.available, 9000 * 1024);
    write_file("/proc/meminfo", "MemTotal: 16000 kB\nMemFree: 1000 kB\nCached: 300 kB\n");
    assert_int_equal(machine_memory(tree.root).available, 1300 * 1024);
}

static void memory_limits_of_version_2(void **state)
{
    (void)state;
    write_meminfo();
    write_file("/proc/self/cgroup", "0::/a/b\n");
    write_file("/sys/fs/cgroup/a/memory.max", "6000000\n");
    write_file("/sys/fs/cgroup/a/memory.current", "5000000\n");
    struct machine_memory m = machine_memory(tree.root);
    assert_int_equal(m.total, 6000000);
    assert_int_equal(m.available, 1000000);
    // Of what is used, files' pages go when memory is wanted.
    write_file("/sys/fs/cgroup/a/memory.stat",
               "anon 900000\nfile 4100000\ninactive_file 3000000\nactive_file 500000\n");
    assert_int_equal(machine_memory(tree.root).available, 4500000);
    write_file("/sys/fs/cgroup/a/b/memory.high", "2000000\n");
    write_file("/sys/fs/cgroup/a/b/memory.current", "1900000\n");
    m = machine_memory(tree.root);
    assert_int_equal(m.total, 2000000);
    assert_int_equal(m.available, 100000);
    write_file("/sys/fs/cgroup/a/b/memory.current", "2500000\n");
    assert_int_equal(machine_memory(tree.root).available, 0);
}

static void memory_limits_of_version_1(void **state)
{
    (void)state;
    write_meminfo();
    write_file("/proc/self/cgroup", "4:memory:/g\n0::/\n");
    write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); // none
    write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "123456789\n");
    write_file("/sys/fs/cgroup/memory/g/memory.limit_in_bytes", "8000000\n");
    write_file("/sys/fs/cgroup/memory/g/memory.usage_in_bytes", "3000000\n");
    write_file("/sys/fs/cgroup/memory/g/memory.stat",
               "cache 5\ninactive_file 7\ntotal_inactive_file 1000000\ntotal_active_file 200000\n");
    struct machine_memory m = machine_memory(tree.root);
    assert_int_equal(m.total, 8000000);
    assert_int_equal(m.available, 6200000);
}

static void nonsense_is_no_answer(void **state)
{
    (void)state;
    write_file("/proc/self/cgroup", "::::\n4:memory\nnothing\n0::");
    write_file("/proc/self/status", "Cpus_allowed_list:\tmany\n");
    write_file("/sys/fs/cgroup/cpu.max", "lots of\n");
    write_file("/proc/meminfo", "MemTotal\n");
    struct machine_processors p = machine_processors(tree.root);
    assert_int_equal(p.allowed, 0);
    assert_int_equal(machine_threads(&p), 1);
    assert_int_equal(machine_memory(tree.root).total, 0);
    allow("5-2,-7,1-99999999");
    assert_true(machine_processors(tree.root).allowed > 0);
}

// ---- Rest ---------------------------------------------------------------------------------------------------------

static void do_nothing(void *context, int64_t index, int worker)
{
    (void)context, (void)index, (void)worker;
}

static double processor_seconds(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// Three workers that went on looking for work would take a second and a half of processor time, or all there is.
static void an_idle_pool_sleeps(void **state)
{
    (void)state;
    struct pool *pool;
    assert_int_equal(pool_open(4, &pool), TERN_OK);
    pool_run(pool, 1000, do_nothing, NULL);
    usleep(100000); // for those that were not given a processor in time
    double before = processor_seconds();
    usleep(500000);
    assert_true(processor_seconds() - before < 0.05);
    pool_close(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hyperthreads_count_once),
        TEST(the_affinity_mask_counts),
        TEST(nodes_are_those_of_allowed_processors),
        TEST(quotas_of_version_2),
        TEST(quotas_of_version_1_in_a_container),
        TEST(memory_of_a_machine_without_limits),
        TEST(memory_limits_of_version_2),
        TEST(memory_limits_of_version_1),
        TEST(nonsense_is_no_answer),
        cmocka_unit_test(an_idle_pool_sleeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
