// Tiles of matrices in threadgroup memory, for kernels that multiply with SIMD-group matrices in threadgroups of THREADS.

// Rows of a tile lie PAD elements further apart than they are long, so that a column falls into different banks. A
// multiple of 4: every row starts at a float4.
constant constexpr uint PAD = 4;

// load4 reads four neighbours in one instruction; their address need be a multiple of an element only.
inline float4 load4(device const T* from) { return float4(*(device const PackedT4*)from); }

// stage copies rows×columns elements, times `factor`, into a tile as they are stored: those of a row are neighbours, rows lie
// `stride` apart. Only there_rows×there_columns of them exist, the others are 0. `columns` is a multiple of 4.
inline void stage(threadgroup float4* tile, device const T* from, uint stride, uint rows, uint columns, uint there_rows, uint there_columns,
                  float factor, uint thread_index) {
  if (there_columns >= columns) {
    for (uint i = thread_index; i < rows * columns / 4; i += THREADS) {
      const uint r = i / (columns / 4), c = i % (columns / 4);
      tile[r * ((columns + PAD) / 4) + c] = r < there_rows ? load4(from + r * stride + 4 * c) * factor : float4(0.0f);
    }
    return;
  }
  threadgroup float* elements = (threadgroup float*)tile;
  for (uint i = thread_index; i < rows * columns; i += THREADS) {
    const uint r = i / columns, c = i % columns;
    elements[r * (columns + PAD) + c] = r < there_rows && c < there_columns ? float(from[r * stride + c]) * factor : 0.0f;
  }
}

// fragment returns the 8×8 elements at (row, column) of a matrix. The tile has rows of `columns`, which are the matrix'
// own or, if it is stored transposed, its columns.
inline simdgroup_float8x8 fragment(threadgroup const float4* tile, uint row, uint column, bool transposed, uint columns) {
  threadgroup const float* elements = (threadgroup const float*)tile;
  simdgroup_float8x8 m;
  if (transposed)
    simdgroup_load(m, elements + column * (columns + PAD) + row, columns + PAD, ulong2(0, 0), true);
  else
    simdgroup_load(m, elements + row * (columns + PAD) + column, columns + PAD);
  return m;
}
