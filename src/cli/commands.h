// The commands; each gets the words after its name and returns an enum exit_code.
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/options.h"
#include "cli/terminal.h"

extern const struct command command_run, command_info, command_tokenize, command_bench;
extern const struct command command_pack, command_verify, command_perplexity, command_size, command_report;
extern const struct command command_pull, command_list, command_rm, command_serve;

int run_main(int argc, char **argv);
int info_main(int argc, char **argv);
int tokenize_main(int argc, char **argv);
int bench_main(int argc, char **argv);
int pack_main(int argc, char **argv);
int verify_main(int argc, char **argv);
int perplexity_main(int argc, char **argv);
int size_main(int argc, char **argv);
int report_main(int argc, char **argv);
int pull_main(int argc, char **argv);
int list_main(int argc, char **argv);
int rm_main(int argc, char **argv);
int serve_main(int argc, char **argv);

#endif
