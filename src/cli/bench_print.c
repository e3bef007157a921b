// What was measured, for people and as CSV.
#include "cli/bench.h"

#include <string.h>

// Names come from files: on a terminal they shall not steer it.
static void print_name(const char *name)
{
    terminal_write(stdout, name, strlen(name));
}

// ---- Description --------------------------------------------------------------------------------------------------

static void print_models(const struct benchmark *b)
{
    for (int32_t i = 0; i < b->n_models; i++) {
        const struct benchmark_model *m = &b->models[i];
        printf("%-9s", i == 0 ? "models:" : "");
        print_name(m->file);
        printf(": %s, %s%s, %.1f MB read for each token, ready in %.2f s\n", m->architecture, m->type,
               m->dense_tiles ? " in dense tiles" : "", m->weight_bytes / 1e6, m->load_seconds);
    }
}

static void print_machine(const struct benchmark *b)
{
    printf("machine: ");
    print_name(b->cpu);
    printf(", %d core%s", (int)b->cores, b->cores == 1 ? "" : "s");
    if (b->nodes > 1) printf(" on %d memory nodes", (int)b->nodes);
    printf(", %s kernels, tern %s\n", b->kernels, b->version);
    if (b->peak_resident > 0) printf("memory:  %.2f GB resident at most, all together\n", b->peak_resident / 1e9);
    if (b->energy[0] != '\0') printf("energy:  not measured: %s\n", b->energy);
}

// ---- Table --------------------------------------------------------------------------------------------------------

// The columns that say what a case is.
static void print_case_head(void)
{
    printf("| test    | tokens |  depth | streams | keys | threads |");
}

static void print_case(const struct benchmark_case *c)
{
    printf("| %-7s | %6d | %6d | %7d | %-4s | %7d |", benchmark_test_name(c->test), (int)c->tokens, (int)c->depth,
           (int)c->streams, benchmark_kv_name(c->kv_type), (int)c->threads);
}

static void print_row(const struct benchmark *b, const struct benchmark_case *c, bool energy)
{
    struct interval rate = samples_interval(&c->rates);
    print_case(c);
    printf(" %12.2f | %9.2f .. %9.2f |", rate.middle, rate.low, rate.high);
    if (c->shares.count > 0)
        printf(" %9.1f %% |", 100 * samples_median(&c->shares));
    else
        printf(" %11s |", "");
    if (energy) printf(" %7.3g |", samples_median(&c->joules));
    if (b->n_models > 1) {
        putchar(' ');
        print_name(b->models[c->model].file);
        printf(" |");
    }
    putchar('\n');
}

static bool has_energy(const struct benchmark *b)
{
    for (int32_t i = 0; i < b->n_cases; i++)
        if (b->cases[i].joules.count > 0) return true;
    return false;
}

static void print_rows(const struct benchmark *b)
{
    bool energy = has_energy(b);
    print_case_head();
    printf(" tokens/s     | interval               | of the wall |%s%s\n", energy ? " J/token |" : "",
           b->n_models > 1 ? " model |" : "");
    printf("|---------|-------:|-------:|--------:|------|--------:|-------------:|-----------------------:|"
           "------------:|%s%s\n",
           energy ? "--------:|" : "", b->n_models > 1 ? "-------|" : "");
    for (int32_t i = 0; i < b->n_cases; i++)
        if (b->cases[i].test != BENCHMARK_STREAM && b->cases[i].rates.count > 0) print_row(b, &b->cases[i], energy);
}

static void print_bandwidth(const struct benchmark_case *c)
{
    struct interval rate = samples_interval(&c->rates);
    printf("wall: %.2f GB/s with %d thread%s, %.2f .. %.2f; ", rate.middle / 1e9, (int)c->threads,
           c->threads == 1 ? "" : "s", rate.low / 1e9, rate.high / 1e9);
    printf("medians of %d round%s", (int)c->rates.count, c->rates.count == 1 ? "" : "s");
    if (rate.confidence > 0) printf(", intervals hold the median with %.1f %%", 100 * rate.confidence);
    putchar('\n');
}

// Beyond what counting of processor time is worth.
static void print_others(const struct benchmark *b)
{
    double busy = benchmark_busy(b);
    if (busy > 0 && busy < 0.95)
        printf("shared: the threads had a processor for %.0f %% of the time; other work on this machine had the rest\n",
               100 * busy);
}

static void print_left_out(const struct benchmark_case *c)
{
    if (c->was_left_out)
        printf("left out: %s %d at depth %d with %d stream%s in %s: %s\n", benchmark_test_name(c->test), (int)c->tokens,
               (int)c->depth, (int)c->streams, c->streams == 1 ? "" : "s", benchmark_kv_name(c->kv_type),
               c->why_left_out);
}

void bench_print_table(const struct benchmark *b)
{
    print_models(b);
    print_machine(b);
    putchar('\n');
    print_rows(b);
    putchar('\n');
    for (int32_t i = 0; i < b->n_cases; i++) {
        const struct benchmark_case *c = &b->cases[i];
        if (c->test == BENCHMARK_STREAM && c->rates.count > 0) print_bandwidth(c);
        print_left_out(c);
    }
    print_others(b);
}

// ---- CSV ----------------------------------------------------------------------------------------------------------

// RFC 4180: in quotes, quotes doubled.
static void print_quoted(const char *text, FILE *stream)
{
    fputc('"', stream);
    for (; *text != '\0'; text++) {
        if (*text == '"') fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void print_csv_case(const struct benchmark *b, const struct benchmark_case *c, FILE *stream)
{
    struct interval rate = samples_interval(&c->rates);
    bool stream_test = c->test == BENCHMARK_STREAM;
    fprintf(stream, "%s,", benchmark_test_name(c->test));
    if (!stream_test) print_quoted(b->models[c->model].file, stream);
    if (stream_test)
        fprintf(stream, ",,,,,,%d,", (int)c->threads);
    else
        fprintf(stream, ",%s,%d,%d,%d,%s,%d,", b->models[c->model].type, (int)c->tokens, (int)c->depth, (int)c->streams,
                benchmark_kv_name(c->kv_type), (int)c->threads);
    fprintf(stream, "%s,%d,%.6g,%.6g,%.6g,%.4g,", b->kernels, (int)c->rates.count, rate.middle, rate.low, rate.high,
            rate.confidence);
    if (c->bytes > 0) fprintf(stream, "%.0f", c->bytes);
    fputc(',', stream);
    if (c->shares.count > 0) fprintf(stream, "%.4f", samples_median(&c->shares));
    fputc(',', stream);
    if (c->joules.count > 0) fprintf(stream, "%.6g", samples_median(&c->joules));
    fputc('\n', stream);
}

void bench_print_csv(const struct benchmark *b, FILE *stream)
{
    fputs("test,model,type,tokens,depth,streams,kv_type,threads,kernels,rounds,per_second,low,high,confidence,"
          "bytes_per_token,share_of_wall,joules_per_token\n",
          stream);
    for (int32_t i = 0; i < b->n_cases; i++)
        if (b->cases[i].rates.count > 0) print_csv_case(b, &b->cases[i], stream);
}

// ---- Comparison ---------------------------------------------------------------------------------------------------

static const char *verdict(const struct interval *ratio)
{
    if (ratio->confidence == 0) return "one round says nothing of noise";
    if (interval_is_noise(ratio)) return "within noise";
    return ratio->middle > 1 ? "faster" : "slower";
}

static void print_file(const char *label, const struct bench_file *file)
{
    const struct benchmark *b = &file->benchmark;
    printf("%s: ", label);
    print_name(file->path);
    printf(", tern %s, ", b->version);
    print_name(b->cpu);
    printf(", %s kernels, %d round%s, %s\n", b->kernels, (int)b->rounds, b->rounds == 1 ? "" : "s", b->date);
}

static void print_shares(const struct benchmark_pair *pair)
{
    if (pair->a->shares.count > 0 && pair->b->shares.count > 0)
        printf(" %5.1f -> %5.1f %% |", 100 * samples_median(&pair->a->shares), 100 * samples_median(&pair->b->shares));
    else
        printf(" %16s |", "");
}

static void print_pair(const struct bench_file *a, const struct benchmark_pair *pair)
{
    bool stream = pair->a->test == BENCHMARK_STREAM;
    if (stream)
        printf("| stream  |   GB/s |        |         |      | %7d |", (int)pair->a->threads);
    else
        print_case(pair->a);
    double unit = stream ? 1e9 : 1;
    printf(" %10.2f | %10.2f | %5.3f | %5.3f .. %5.3f |", samples_median(&pair->a->rates) / unit,
           samples_median(&pair->b->rates) / unit, pair->ratio.middle, pair->ratio.low, pair->ratio.high);
    print_shares(pair);
    printf(" %s |", verdict(&pair->ratio));
    if (a->benchmark.n_models > 1) {
        putchar(' ');
        print_name(stream ? "" : a->benchmark.models[pair->a->model].file);
        printf(" |");
    }
    putchar('\n');
}

static void print_pairs(const struct bench_file *a, const struct benchmark_comparison *comparison)
{
    bool models = a->benchmark.n_models > 1;
    print_case_head();
    printf("          A |          B |   B/A | interval       | of the wall      | difference |%s\n",
           models ? " model |" : "");
    printf("|---------|-------:|-------:|--------:|------|--------:|-----------:|-----------:|------:|---------------:|"
           "-----------------:|------------|%s\n",
           models ? "-------|" : "");
    for (int32_t i = 0; i < comparison->n_pairs; i++)
        print_pair(a, &comparison->pairs[i]);
}

void bench_print_comparison(const struct bench_file *a, const struct bench_file *b,
                            const struct benchmark_comparison *comparison)
{
    print_file("A", a);
    print_file("B", b);
    putchar('\n');
    if (comparison->n_pairs > 0) print_pairs(a, comparison);
    if (comparison->n_pairs > 0) putchar('\n');
    puts("Ratios of medians with 95 % intervals (bootstrap). Where the stream itself differs, the machine was another "
         "or");
    puts("its pace changed: compare shares of the wall.");
    if (comparison->only_a > 0 || comparison->only_b > 0)
        printf("Only in A: %d case%s; only in B: %d.\n", (int)comparison->only_a, comparison->only_a == 1 ? "" : "s",
               (int)comparison->only_b);
}
