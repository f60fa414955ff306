/* Runs an image of tests/kernels/aot/recorded.py on a library: run_image LIBRARY IMAGE BASE. Changes the image. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
  void *library = argc == 4 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 2;
  int64_t (*version)(void) = (int64_t (*)(void))dlsym(library, "inferir_abi_version");
  int64_t (*digest)(void) = (int64_t (*)(void))dlsym(library, "inferir_digest");
  int64_t (*kernel)(int64_t) = (int64_t (*)(int64_t))dlsym(library, "inferir_kernel");
  int64_t (*run)(const int64_t *, int64_t) = (int64_t (*)(const int64_t *, int64_t))dlsym(library, "inferir_run");

  int file = open(argv[2], O_RDWR);
  struct stat facts;
  fstat(file, &facts);
  void *base = (void *)strtoull(argv[3], NULL, 0);
  int64_t *image = mmap(base, facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
  if (image != base) return perror("mmap"), 3;

  int64_t n_steps = image[0];
  int64_t *steps = image + 1;
  for (int64_t i = 0; i < n_steps; i++) steps[3 * i] = kernel(steps[3 * i]);
  int64_t stopped = run(steps, n_steps);
  printf("%lld %lld %lld\n", (long long)version(), (long long)digest(), (long long)stopped);
  return msync(image, facts.st_size, MS_SYNC);
}
