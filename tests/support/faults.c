// Memory that fails when a test wants it to. Preloaded (LD_PRELOAD) into a program, it shares one page with the test, a
// file that TERN_FAULTS names: the test says which allocations are to fail, and reads how many there were.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct faults {
    _Atomic uint64_t armed;       // 0: nothing is counted
    _Atomic uint64_t count;       // of allocations since then
    _Atomic uint64_t first, last; // those that fail, from 1 on
};

static struct faults nothing, *faults = &nothing;
static void *(*next_malloc)(size_t), *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);

// ISO C knows no cast from a pointer to data to one to a function, POSIX wants it for dlsym().
#define FIND(name) (*(void **)&next_##name = dlsym(RTLD_NEXT, #name))

static void find_functions(void)
{
    static bool finding; // whoever looks for them may want memory: there is none then
    if (finding) return;
    finding = true;
    FIND(calloc);
    FIND(realloc);
    FIND(aligned_alloc);
    FIND(posix_memalign);
    FIND(malloc);
}

__attribute__((constructor)) static void open_page(void)
{
    const char *path = getenv("TERN_FAULTS");
    int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page = file >= 0 ? mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
    if (file >= 0) close(file);
    if (page == MAP_FAILED) abort(); // a test that tests nothing
    faults = page;
}

static bool fails(void)
{
    if (next_malloc == NULL) find_functions();
    if (next_malloc == NULL) return true;
    if (atomic_load_explicit(&faults->armed, memory_order_relaxed) == 0) return false;
    uint64_t number = atomic_fetch_add(&faults->count, 1) + 1;
    if (number < atomic_load(&faults->first) || number > atomic_load(&faults->last)) return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : next_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : next_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : next_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : next_aligned_alloc(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    return fails() ? ENOMEM : next_posix_memalign(out, alignment, size);
}
