"""What a TorchScript file may compute with when its author is not trusted: operators by name, family by family.

Each is a function of tensors, numbers and words that checks its arguments: it touches no file, no other process, no
memory beyond a tensor, and no state of torch that outlives the call, but for random numbers and the recording of
gradients. What is not here is refused, also what a later torch brings. Left out although they look harmless:
storages and strides without bounds (resize_, set_, _reshape_alias), backward passes and other parts of torch that
rely on who calls them, pooling, embedding bags and losses whose indices are not checked, sparse and quantized tensors,
and whatever writes into `out=`.
"""


def _named(namespace: str, words: str) -> frozenset[str]:
    return frozenset(f"{namespace}::{word}" for word in words.split())


_CONTROL = _named(
    "prim",
    """CallFunction CallMethod Constant ConstantChunk CreateObject DictConstruct Enter EnumName EnumValue Exit GetAttr
    If ImplicitTensorToNum isinstance ListConstruct ListUnpack Loop ModuleContainerIndex NumToTensor Print
    RaiseException SetAttr StringIndex TupleConstruct TupleIndex TupleSlice TupleUnpack unchecked_cast
    unchecked_unwrap_optional Uninitialized""",
)
_FACTS_OF_TENSORS = _named(
    "prim",
    """data device dtype is_cpu is_cuda is_ipu is_maia is_meta is_mkldnn is_mps is_mtia is_nested is_quantized is_sparse
    is_sparse_csr is_vulkan is_xla is_xpu itemsize layout name nbytes requires_grad type""",
) | _named(
    "aten",
    """_get_tracing_state _shape_as_tensor _version data dense_dim device dim element_size get_device has_torch_function
    is_autocast_cpu_enabled is_autocast_enabled is_coalesced is_complex is_conj is_contiguous is_floating_point
    is_grad_enabled is_inference is_leaf is_neg is_non_overlapping_and_dense is_nonzero is_pinned is_same_size
    is_scripting is_set_to is_signed is_strides_like_format len numel output_nr requires_grad result_type
    retains_grad set_grad_enabled size sparse_dim storage_offset stride sym_is_contiguous sym_numel sym_size
    sym_storage_offset sym_stride""",
)
_NUMBERS_AND_WORDS = _named("prim", "abs index max min rangelist tolist") | _named(
    "aten",
    """__and__ __contains__ __derive_index __getitem__ __iand__ __ilshift__ __ior__ __irshift__ __is__ __isnot__
    __ixor__ __lshift__ __not__ __or__ __range_length __rshift__ __xor__ _list_to_tensor _set_item
    _tensor_to_list _unwrap_optional append bin Bool capitalize chr clear Complex ComplexImplicit copy count
    degrees Delete dict divmod endswith expandtabs extend fabs factorial find Float FloatImplicit floordiv format
    gcd get hash hex index insert Int IntImplicit isalnum isalpha isdecimal isdigit isidentifier islower
    isnumeric isprintable isspace istitle isupper item items join keys list ljust lower lstrip mathremainder modf
    oct ord partition percentFormat pop popitem radians remove replace reverse rfind rindex rjust rpartition
    rsplit rstrip ScalarImplicit setdefault Size sorted splitlines startswith str strip swapcase title update
    upper values warn zfill""",
)
_MAKING = _named(
    "aten",
    """_cast_Byte _cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short _dim_arange alias
    arange as_tensor bartlett_window blackman_window chalf clone complex contiguous cpu cuda detach empty
    empty_like eye fill fill_diagonal full full_like hamming_window hann_window kaiser_window lift lift_fresh
    linspace logspace new_empty new_full new_ones new_zeros one_hot ones ones_like range scalar_tensor tensor to
    tril_indices triu_indices type_as vander zero zeros zeros_like""",
)
_RANDOM = _named(
    "aten",
    """bernoulli binomial cauchy exponential geometric log_normal multinomial normal poisson rand rand_like randint
    randint_like randn randn_like random randperm uniform""",
)
_ELEMENTS = _named(
    "aten",
    """abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh
    atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil
    clamp clamp_max clamp_min clip conj conj_physical copysign cos cosh deg2rad digamma div divide eq erf erfc
    erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin fmod frac frexp ge greater greater_equal
    gt heaviside hypot i0 igamma igammac imag isclose isfinite isinf isnan isneginf isposinf isreal lcm ldexp le
    lerp less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or
    logical_xor logit lt maximum minimum mul multiply mvlgamma nan_to_num ne neg negative nextafter not_equal
    polar polygamma positive pow rad2deg real reciprocal remainder resolve_conj resolve_neg round rsqrt rsub sgn
    sigmoid sign signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc view_as_complex
    view_as_real where xlogy

    special_airy_ai special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_digamma
    special_entr special_erf special_erfc special_erfcx special_erfinv special_exp2 special_expit special_expm1
    special_gammainc special_gammaincc special_gammaln special_i0 special_i0e special_i1 special_i1e special_log1p
    special_log_ndtr special_log_softmax special_logit special_logsumexp special_modified_bessel_i0
    special_modified_bessel_i1 special_modified_bessel_k0 special_modified_bessel_k1 special_multigammaln
    special_ndtr special_ndtri special_polygamma special_psi special_round special_scaled_modified_bessel_k0
    special_scaled_modified_bessel_k1 special_sinc special_softmax special_spherical_bessel_j0 special_xlog1py
    special_xlogy special_zeta""",
)
_ACTIVATIONS = _named(
    "aten",
    """alpha_dropout celu dropout elu feature_alpha_dropout feature_dropout gelu glu hardshrink hardsigmoid hardswish
    hardtanh leaky_relu log_sigmoid log_softmax mish prelu relu relu6 rrelu selu silu softmax softplus softshrink
    threshold""",
)
_REDUCTIONS = _named(
    "aten",
    """all allclose amax amin aminmax any argmax argmin bincount bucketize corrcoef count_nonzero cov cummax cummin
    cumprod cumsum cumulative_trapezoid diff equal gradient histc kthvalue logcumsumexp logsumexp max mean median
    min mode nanmean nanmedian nanquantile nansum norm norm_except_dim nuclear_norm frobenius_norm prod quantile
    searchsorted std std_mean sum sum_to_size topk trace trapezoid trapz var var_mean""",
)
_SHAPES = _named(
    "aten",
    """_infer_size _unique _unique2 adjoint argsort argwhere as_strided atleast_1d atleast_2d atleast_3d block_diag
    broadcast_shapes broadcast_tensors broadcast_to cartesian_prod cat channel_shuffle chunk column_stack
    combinations concat concatenate constant_pad_nd diag diag_embed diagflat diagonal diagonal_scatter dsplit
    dstack expand expand_as flatten flip fliplr flipud gather hsplit hstack index_add index_copy index_fill
    index_put index_reduce index_select isin masked_fill masked_scatter masked_select meshgrid moveaxis movedim
    msort mT mH matrix_H narrow nonzero nonzero_numpy numpy_T pad pad_sequence permute pixel_shuffle
    pixel_unshuffle put ravel reflection_pad1d reflection_pad2d reflection_pad3d renorm repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d reshape reshape_as roll rot90 row_stack scatter
    scatter_add scatter_reduce select select_scatter slice slice_scatter sort split split_with_sizes squeeze
    stack swapaxes swapdims t take take_along_dim tensor_split tile transpose tril triu unbind unflatten unfold
    unique_consecutive unique_dim unique_dim_consecutive unsafe_chunk unsafe_split unsafe_split_with_sizes
    unsqueeze view view_as vsplit vstack""",
)
_PRODUCTS = _named(
    "aten",
    """addbmm addmm addmv addr baddbmm bilinear bmm cdist chain_matmul cosine_similarity cross dist dot einsum ger inner
    kron linear matmul matrix_power mm mv outer pairwise_distance pdist scaled_dot_product_attention tensordot
    vdot _weight_norm

    cholesky cholesky_inverse cholesky_solve det inverse linalg_cholesky linalg_cholesky_ex linalg_cond linalg_cross
    linalg_det linalg_diagonal linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_inv linalg_inv_ex
    linalg_lstsq linalg_lu linalg_matmul linalg_matrix_exp linalg_matrix_norm linalg_matrix_power linalg_matrix_rank
    linalg_multi_dot linalg_norm linalg_pinv linalg_qr linalg_slogdet linalg_solve linalg_solve_ex
    linalg_solve_triangular linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve linalg_vander
    linalg_vecdot linalg_vector_norm logdet matrix_exp pinverse qr slogdet svd triangular_solve""",
)
_LAYERS = _named(
    "aten",
    """__interpolate __upsample __upsample_bilinear __upsample_nearest _convolution _convolution_mode
    _native_multi_head_attention _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned
    _no_grad_embedding_renorm_ _transformer_encoder_layer_fwd _upsample_bicubic2d_aa _upsample_bilinear2d_aa
    _upsample_lanczos2d_aa _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d affine_grid_generator avg_pool1d avg_pool2d avg_pool3d batch_norm col2im conv1d conv2d
    conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution embedding embedding_renorm
    grid_sampler group_norm gru gru_cell im2col instance_norm layer_norm lstm lstm_cell max_pool1d
    max_pool1d_with_indices max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices rms_norm
    rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell to_padded_tensor upsample_bicubic2d upsample_bilinear2d
    upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d""",
)
_LOSSES = _named(
    "aten",
    """binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy_loss grad
    hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss nll_loss nll_loss_nd
    poisson_nll_loss smooth_l1_loss soft_margin_loss triplet_margin_loss""",
)
_WAVES = _named(
    "aten",
    """fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_hfft fft_hfft2 fft_hfftn fft_ifft fft_ifft2 fft_ifftn
    fft_ifftshift fft_ihfft fft_ihfft2 fft_ihfftn fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftfreq
    fft_rfftn istft stft""",
)
ALLOWED = frozenset().union(
    *(_CONTROL, _FACTS_OF_TENSORS, _NUMBERS_AND_WORDS, _MAKING, _RANDOM, _ELEMENTS, _ACTIVATIONS, _REDUCTIONS),
    *(_SHAPES, _PRODUCTS, _LAYERS, _LOSSES, _WAVES),
)
"""Names as torch resolves them, without overload; one that works in place (`relu_`) goes with its plain form."""


def is_allowed(operator: str) -> bool:
    """Tell whether an operator, or the one that it is the in-place form of, is on the list."""
    return operator in ALLOWED or (operator.endswith("_") and operator[:-1] in ALLOWED)
