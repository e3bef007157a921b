// RAPL counters of machines that are not at hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <unistd.h>

#include "../support/fake_tree.h"
#include "base/energy.h"

static void write_counter(const char *zone, const char *microjoules)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/powercap/%s/energy_uj", zone);
    fake_tree_write(&tree, path, microjoules);
}

static void write_zone(const char *zone, const char *name, const char *microjoules)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/class/powercap/%s/name", zone);
    fake_tree_write(&tree, path, name);
    snprintf(path, sizeof path, "/sys/class/powercap/%s/max_energy_range_uj", zone);
    fake_tree_write(&tree, path, "262143328850\n");
    write_counter(zone, microjoules);
}

static void assert_joules(struct energy_meter *meter, double expected)
{
    double joules = -1;
    assert_true(energy_read(meter, &joules));
    if (fabs(joules - expected) > 1e-9) fail_msg("%.9f joules, expected %.9f", joules, expected);
}

// Two packages and their memory; cores and graphics are in the package, psys is all of it.
static void packages_and_memory_are_summed(void **state)
{
    (void)state;
    write_zone("intel-rapl:0", "package-0\n", "1000000\n");
    write_zone("intel-rapl:0:0", "core\n", "5\n");
    write_zone("intel-rapl:0:1", "uncore\n", "5\n");
    write_zone("intel-rapl:0:2", "dram\n", "2000000\n");
    write_zone("intel-rapl:1", "package-1\n", "3000000\n");
    write_zone("intel-rapl:2", "psys\n", "5\n");
    struct energy_meter meter;
    energy_open(tree.root, &meter);
    assert_int_equal(meter.count, 3);
    assert_joules(&meter, 0);
    write_counter("intel-rapl:0", "2500000\n");
    write_counter("intel-rapl:0:0", "9000000\n");
    write_counter("intel-rapl:0:2", "2250000\n");
    write_counter("intel-rapl:2", "90000000\n");
    assert_joules(&meter, 1.75);
    write_counter("intel-rapl:1", "3500000\n");
    assert_joules(&meter, 2.25);
}

static void counters_begin_again(void **state)
{
    (void)state;
    write_zone("intel-rapl:0", "package-0\n", "262143000000\n");
    struct energy_meter meter;
    energy_open(tree.root, &meter);
    write_counter("intel-rapl:0", "671150\n");
    assert_joules(&meter, 1); // 328850 up to the end and 671150 from the start
    write_counter("intel-rapl:0", "1671150\n");
    assert_joules(&meter, 2);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    struct energy_meter meter;
    double joules;
    energy_open(tree.root, &meter);
    assert_int_equal(meter.count, 0);
    assert_false(energy_read(&meter, &joules));
    assert_string_equal(meter.why, "this machine shows no RAPL counters in /sys/class/powercap");

    write_zone("intel-rapl:0", "package-0\n", "nonsense\n");
    write_zone("intel-rapl:1", "package-1\n", "-1\n");
    energy_open(tree.root, &meter);
    assert_int_equal(meter.count, 0);

    write_zone("intel-rapl:0", "package-0\n", "1\n");
    energy_open(tree.root, &meter);
    assert_int_equal(meter.count, 1);
    write_counter("intel-rapl:0", "\n"); // gone since
    assert_false(energy_read(&meter, &joules));
}

// Linux lets root alone read the counters, because they tell of what others compute.
static void what_may_not_be_read_is_said(void **state)
{
    (void)state;
    if (geteuid() == 0) skip(); // root reads everything
    write_zone("intel-rapl:0", "package-0\n", "1\n");
    char path[128];
    snprintf(path, sizeof path, "%s/sys/class/powercap/intel-rapl:0/energy_uj", tree.root);
    assert_int_equal(chmod(path, 0), 0);
    struct energy_meter meter;
    energy_open(tree.root, &meter);
    assert_int_equal(meter.count, 0);
    assert_string_equal(meter.why, "/sys/class/powercap/intel-rapl:0 can be read by root alone");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_tree, remove_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packages_and_memory_are_summed),
        TEST(counters_begin_again),
        TEST(what_is_not_there_is_said),
        TEST(what_may_not_be_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
